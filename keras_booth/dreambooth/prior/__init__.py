"""Class images, drawn by the frozen base and kept on disk."""
