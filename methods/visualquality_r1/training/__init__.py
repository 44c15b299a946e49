"""RL2R: reinforcement learning to rank with TRL's GRPO trainer (section 3.1). Needs `pip install trl`."""
