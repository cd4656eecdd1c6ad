"""Pages of healthchecks' subscriptions, for its own are placeholders that write nothing."""
