"""One photograph, whatever camera, telephone or editor wrote it."""
