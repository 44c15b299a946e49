"""The plain way through a checkpoint, written apart from `methods.lmm`: what every shortcut is measured against.

One prompt at a time, the processor's own chat template and tokenisation, pixels in, one full forward without a cache.
"""

from __future__ import annotations

import torch


def messages(prompt):
    turns = [
        {"role": turn.role, "content": [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
            for part in turn.parts
        ]}
        for turn in prompt.turns
    ]
    if prompt.answer_prefix:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": prompt.answer_prefix}]})
    return turns


def inputs(processor, prompt):
    said = bool(prompt.answer_prefix)
    return processor.apply_chat_template(
        messages(prompt), tokenize=True, return_dict=True, return_tensors="pt",
        continue_final_message=said, add_generation_prompt=not said,
    )


@torch.no_grad()
def next_logits(model, processor, prompt):
    """float32 [vocabulary]."""
    return model(**inputs(processor, prompt), use_cache=False).logits[0, -1].float()


def word_logits(model, processor, prompts, words):
    """float32 [prompts, words]; the words' tokens are read off the end of the tokenised text."""
    rows = []
    for prompt in prompts:
        text = processor.apply_chat_template(
            messages(prompt), tokenize=False, continue_final_message=bool(prompt.answer_prefix),
            add_generation_prompt=not prompt.answer_prefix,
        )
        encode = processor.tokenizer.encode
        bare = len(encode(text, add_special_tokens=False))
        tokens = [encode(text + prompt.continuation(word), add_special_tokens=False)[bare] for word in words]
        rows.append(next_logits(model, processor, prompt)[tokens])
    return torch.stack(rows).numpy()


@torch.no_grad()
def greedy(model, processor, prompt, count):
    """The greedy continuation by full forwards, without a cache: the text of at most `count` tokens."""
    given = inputs(processor, prompt)
    stop = processor.tokenizer.eos_token_id
    made = []
    for _ in range(count):
        token = int(model(**given, use_cache=False).logits[0, -1].argmax())
        if token == stop:
            break
        made.append(token)
        for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0),
                            ("token_type_ids", 0)):
            if name in given:
                given[name] = torch.cat([given[name], torch.tensor([[value]])], dim=1)
    return processor.tokenizer.decode(made, skip_special_tokens=True)
