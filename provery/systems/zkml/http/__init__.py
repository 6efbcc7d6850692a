"""The HTTP API: routes, admission, cache, events, webhooks, and the page."""
