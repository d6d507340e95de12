"""An app that the fault tests install beside the product: it kills its own process at named points, once each."""
