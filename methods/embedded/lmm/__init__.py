"""How the embedded LMM is made (`python -m methods.embedded.lmm`) and measured (`methods.embedded.lmm.evaluate`).

A stock FastVLM (EfficientNet tower, Qwen2 decoder of a million weights) learns the prompts of every method of this
project from human opinions and from synthetic distortions, on two CPU cores:

    recipe.py       the images that are trained on, and what is known of each
    tower.py        the vision tower: what sees quality is carried to its end
    features.py     what the tower's first blocks make of every image, cached on disk
    finetune.py     training of the tower's last blocks, with checkpoints
    readout.py      which directions of these features reach the decoder, and the teacher that scores images
    tokenizer.py    the vocabulary and the processor
    thinking.py     reasoning text that says what the features show
    tasks.py        the prompts of all methods, with their targets
    schedule.py     how many of which a step of training asks
    decoder.py      training of the decoder, with checkpoints
    pipeline.py     all of it in order
    evaluate.py     the numbers in the model card, written into it by card.py
    other_kinds.py  images that nobody rated: pages of text, screens, photos under water
"""
