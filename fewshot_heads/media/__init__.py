"""Reading and writing of images, videos and sound, and the mark of synthetic media."""
