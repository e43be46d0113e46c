"""The composition root: what the parts are put together to, and the use cases that all interfaces share."""
