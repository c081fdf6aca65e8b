"""The wheel, installed into an empty environment, in a project of somebody else."""
