"""What each page shows, as pure functions of the documents: no request, no clock, no HTML."""
