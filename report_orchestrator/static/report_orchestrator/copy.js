/* The button that copies the text before it. Without this script it is not shown, and a click selects the text. */
"use strict";
document.documentElement.classList.add("ro-copies");
document.addEventListener("click", async event => {
    const button = event.target.closest(".ro-copy");
    if (!button) return;
    const text = button.previousElementSibling;
    try {
        await navigator.clipboard.writeText(text.textContent);
    } catch {  // not allowed, or no clipboard: only pages served by https have one
        getSelection().selectAllChildren(text);
        if (!document.execCommand("copy")) return;
    }
    button.nextElementSibling.textContent = button.textContent = button.dataset.roDone;
});
