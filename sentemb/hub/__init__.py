"""Export of encoders and the model hub: the only folder that uploads anything."""
