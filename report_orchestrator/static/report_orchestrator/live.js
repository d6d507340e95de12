// Keeps a page up to date while somebody looks at it. It asks one cheap address whether anything changed, and only then reads
// the page again and changes what differs in it: elements stay, and with them focus, scrolling and what is open.
"use strict";
{
    const REREAD_AFTER = 15000;  // milliseconds, for times such as "2 min ago"
    const GIVE_UP_AFTER = 10000;
    const LONGEST_WAIT = 60000;
    const BETWEEN_ANNOUNCEMENTS = 10000;
    const REST = 10;  // times as long as the page takes to read, so that it costs a server little
    const HEADERS = {"X-Report-Orchestrator-Refresh": "1"};

    class Stop extends Error {}  // asking again would not help

    const line = document.querySelector("[data-live-address]");
    const words = line.dataset;
    const text = line.querySelector(".ro-live-text");
    const announcer = document.querySelector("[data-live-announcement]");
    const regions = (root) => [...root.querySelectorAll("[data-live-region]")];
    const counts = (root) => [...root.querySelectorAll("#changelist-search .quiet, .paginator")];

    const seconds = Number(words.liveSeconds);
    let stamp = words.liveStamp;
    let at = words.liveAt;
    let news = words.liveNews;
    let readAt = performance.now();
    let readAgainAt = 0;
    let failures = 0;
    let timer, announcement, asked;
    let announcedAt = -BETWEEN_ANNOUNCEMENTS;

    function say(state) {
        const sentence = words[state].replace("hh:mm:ss", at);
        if (text.textContent !== sentence) text.textContent = sentence;
    }

    function announce(sentence) {
        clearTimeout(announcement);
        announcement = setTimeout(() => {
            announcedAt = performance.now();
            announcer.textContent = sentence;
        }, Math.max(0, announcedAt + BETWEEN_ANNOUNCEMENTS - performance.now()));
    }

    async function look() {
        clearTimeout(timer);
        asked?.abort();
        const mine = asked = new AbortController();
        const late = setTimeout(() => mine.abort(), GIVE_UP_AFTER);
        try {
            const goesOn = await ask(mine.signal);
            failures = 0;
            if (goesOn) plan(1000 * seconds);
        } catch (error) {
            if (mine !== asked || document.hidden) return;  // another question has taken over
            fail(error);
        } finally {
            clearTimeout(late);
        }
    }

    function fail(error) {
        const state = error instanceof Stop ? error.message : "liveFailed";
        say(state);
        if (failures === 0) announce(text.textContent);
        failures += 1;
        if (state === "liveFailed") plan(Math.min(1000 * seconds * 2 ** failures, LONGEST_WAIT));
    }

    function plan(wait) {
        if (!document.hidden) timer = setTimeout(look, wait);
    }

    async function ask(signal) {
        const answer = await (await load(words.liveAddress, signal)).json();
        const isOld = performance.now() - readAt > REREAD_AFTER;
        if (answer.stamp === stamp && !isOld) {
            at = answer.at;
        } else if (isSelecting()) {
            say("liveWaiting");
            return true;
        } else if (performance.now() >= readAgainAt) {
            return await reread(signal);
        }
        say("liveFresh");
        return true;
    }

    async function load(address, signal) {
        const response = await fetch(address, {headers: HEADERS, redirect: "manual", cache: "no-store", signal});
        if (response.type === "opaqueredirect" || response.status === 401) throw new Stop("liveSignedOut");
        if (response.status === 403 || response.status === 404) throw new Stop("liveRefused");
        if (!response.ok) throw new Error(`${response.status}`);
        return response;
    }

    async function reread(signal) {
        const began = performance.now();
        const response = await load(location.href, signal);
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const [mine, fresh] = [regions(document), regions(page)];
        if (fresh.length !== mine.length) throw new Error("another page came back");
        replace([...mine, ...counts(document)], [...fresh, ...counts(page)]);
        readAt = performance.now();
        readAgainAt = readAt + REST * (readAt - began);
        const ahead = page.querySelector("[data-live-at]");
        ({liveAt: at, liveStamp: stamp} = ahead.dataset);
        tell(ahead.dataset.liveNews);
        const goesOn = "liveAddress" in ahead.dataset;
        say(goesOn ? "liveFresh" : "liveEnded");
        return goesOn;
    }

    function tell(latest) {
        if (latest !== news) announce(latest);
        news = latest;
    }

    // A person who marks rows or text means what is there now.
    function isSelecting() {
        const selection = getSelection();
        return regions(document).some((region) =>
            region.querySelector("input:checked") ||
            region.contains(document.activeElement) && document.activeElement.matches("select, textarea, input:not([type=checkbox])") ||
            !selection.isCollapsed && selection.containsNode(region, true));
    }

    function replace(mine, fresh) {
        const focused = document.activeElement;
        const held = mine.find((region) => region.contains(focused));
        mine.forEach((region, place) => fresh[place] && patch(region, fresh[place]));
        if (held && !focused.isConnected) {
            held.tabIndex = -1;
            held.focus({preventScroll: true});
        }
    }

    function patch(old, fresh) {
        if (old.nodeType !== Node.ELEMENT_NODE) {
            if (old.data !== fresh.data) old.data = fresh.data;
            return;
        }
        if (old.isEqualNode(fresh)) return;
        const keeps = (name) => name === "open" && old.localName === "details";
        for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name) && !keeps(name)) old.removeAttribute(name);
        for (const {name, value} of fresh.attributes) {
            if (!keeps(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
        }
        patchChildren(old, fresh);
    }

    function patchChildren(old, fresh) {
        const wanted = [...fresh.childNodes];
        const keys = new Set(wanted.map(keyOf));
        const known = new Map();
        for (const child of [...old.childNodes]) {
            const key = keyOf(child);
            if (key === null) continue;
            if (keys.has(key)) known.set(key, child);
            else child.remove();
        }
        let next = old.firstChild;
        for (const node of wanted) {
            const key = keyOf(node);
            const same = key === null ? (next && isAlike(next, node) ? next : null) : known.get(key);
            if (!same) {
                old.insertBefore(document.importNode(node, true), next);
            } else {
                if (same === next) next = next.nextSibling;
                else old.insertBefore(same, next);
                patch(same, node);
            }
        }
        while (next) {
            const rest = next.nextSibling;
            next.remove();
            next = rest;
        }
    }

    // Rows of a list move: a box that is checked later must belong to the run that is then beside it.
    function keyOf(node) {
        if (node.nodeType !== Node.ELEMENT_NODE) return null;
        if (node.localName === "tr") return node.querySelector("input.action-select")?.value ?? null;
        return node.dataset?.liveKey ?? (node.id || null);
    }

    function isAlike(old, fresh) {
        return keyOf(old) === null && old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName;
    }

    // Django's script for the boxes of a list knows only the rows that it found.
    let boxes = [...document.querySelectorAll("tr input.action-select")];
    function knowBoxes(event) {
        if (!window.Actions || !event.target.closest?.("#changelist-form")) return;
        const found = document.querySelectorAll("tr input.action-select");
        if (found.length && (found.length !== boxes.length || boxes.some((box, place) => box !== found[place]))) {
            boxes = [...found];
            window.Actions(found);
        }
    }
    for (const kind of ["pointerdown", "keydown", "focusin"]) document.addEventListener(kind, knowBoxes, true);

    document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
            clearTimeout(timer);
            asked?.abort();
        } else {
            look();
        }
    });
    if (regions(document).length) {
        say("liveFresh");
        plan(1000 * seconds);
    }
}
