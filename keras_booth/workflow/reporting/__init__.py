"""What a run says of itself: a page to look at, and a card to publish it with."""
