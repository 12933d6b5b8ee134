"""Train, stream and score vision-language assistants that watch a video and speak up by themselves."""

__version__ = "0.1.0"
