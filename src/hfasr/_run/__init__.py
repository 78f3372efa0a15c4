"""Many inputs worked on at once, and handed out in order: by threads, and by tasks."""
