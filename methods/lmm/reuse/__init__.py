"""What makes many prompts cheap: each distinct image is encoded once, common prefixes are computed once.

- `vision`: images to encoder outputs, with a bounded cache across calls;
- `windows`: the attention of Qwen's towers in few calls;
- `layout`: prompts to token rows whose image tokens are told apart by content, so that prefixes can be compared;
- `prefix`: which rows share a prefix, chosen so that most tokens are saved;
- `memory`: what a token takes in bytes, and what there is to plan with;
- `batching`: batches of like length, sized to the memory, halved and retried where it does not suffice;
- `passes`: the forward passes; `decoding`: the token loop of generation;
- `runner`: all of it over many prompts.

Whatever is shared, the logits equal those of one prompt at a time with nothing shared.
"""
