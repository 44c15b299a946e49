"""Q-Debias: the quality of an image, judged on the condition that degraded copies of it are poor.

Paper: "Mitigating Perception Bias: A Training-Free Approach to Enhance LMM for Image Quality Assessment",
arXiv 2411.12791. The README beside this file maps its equations to functions.
"""
