"""What is changed of Keras's optimizers."""
