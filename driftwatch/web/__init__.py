"""The small HTTP server: liveness and readiness."""
