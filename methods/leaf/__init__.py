"""LEAF: a large model teaches a small one, and a few human ratings set the scale.

`student.Student` is the small one: the copy in assets/embedded-student scores thousands of images on a laptop and
can be calibrated to anyone's own ratings.
"""
