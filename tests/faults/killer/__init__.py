"""An app for the fault tests: it kills its own process at named points, once each."""
