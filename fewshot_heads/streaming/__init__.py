"""Live reenactment: frames of a camera in, frames of a portrait out, each as soon as it can be."""
