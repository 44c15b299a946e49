"""The forward passes themselves: rows in, logits and KV caches out.

Positions are always given explicitly, so nothing depends on what the model remembers from an earlier call. Padding
never lies between a token and what it attends to: prompts are padded on the left, what follows a cache on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods.lmm.reuse.decoding import Prefilled, cache_rows
from methods.lmm.reuse.layout import Row
from methods.lmm.reuse.vision import Encoding, VisionEncoder
from methods.patience import step

if TYPE_CHECKING:
    import torch
    from transformers.utils import ModelOutput

    from methods.lmm.loaded import Model


class Passes:
    """The passes of one model.

    Args:
        model: a transformers model of a family in `runner.SHARING_FAMILIES`.
        vision: its vision tower, which made the encodings of the rows.
        image_token: the id that stands for an image's tokens.

    Attributes:
        tokens: that went through the model so far, padding included.
        padding: of these, the padding.
    """

    def __init__(self, model: Model, vision: VisionEncoder, image_token: int) -> None:
        self.model = model
        self.vision = vision
        self.image_token = image_token
        self.tokens = 0
        self.padding = 0

    def prefill(self, rows: Sequence[Row], cached: bool, stops: Sequence[int] | None = None) -> Prefilled:
        """One left-padded pass over rows (or over their first `stops` tokens)."""
        import torch

        stops = stops or [len(row) for row in rows]
        width = max(stops)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        positions = torch.zeros(*rows[0].positions.shape[:-1], len(rows), width, dtype=torch.long)
        encodings: list[Encoding] = []
        for index, (row, stop) in enumerate(zip(rows, stops)):
            ids[index, width - stop :] = torch.from_numpy(row.ids[:stop])
            mask[index, width - stop :] = 1
            positions[..., index, width - stop :] = row.positions[..., :stop]
            encodings += row.encodings_in(0, stop)
        self._count(ids, stops)
        output = self._forward(ids, mask, positions, encodings, use_cache=cached, logits_to_keep=1)
        following = torch.tensor([int(row.positions[..., :stop].max()) + 1 for row, stop in zip(rows, stops)])
        return Prefilled(
            logits=output.logits[:, -1],
            cache=output.past_key_values if cached else None,
            mask=mask.to(self.model.device),
            next_positions=following.to(self.model.device),
        )

    def proceed(self, state: Prefilled, owner: list[int], rows: list[Row], starts: list[int]) -> torch.Tensor:
        """Next-token logits of rows whose first `starts` tokens are in `state`, in the cache row `owner`.

        `state` stays as it is, for other rows to follow it too.
        """
        import torch

        device = self.model.device
        chosen = torch.tensor(owner, device=device)
        cache = cache_rows(state.cache, chosen)
        lengths = [len(row) - start for row, start in zip(rows, starts)]
        width = max(lengths)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        own = torch.zeros_like(ids)
        positions = torch.zeros(*rows[0].positions.shape[:-1], len(rows), width, dtype=torch.long)
        encodings: list[Encoding] = []
        for index, (row, start, length) in enumerate(zip(rows, starts, lengths)):
            ids[index, :length] = torch.from_numpy(row.ids[start:])
            own[index, :length] = 1
            positions[..., index, :length] = row.positions[..., start:]
            encodings += row.encodings_in(start, len(row))
        last = torch.tensor(lengths, device=device)[:, None] - 1
        self._count(ids, lengths)
        output = self._forward(
            ids, torch.cat([state.mask[chosen], own.to(device)], dim=1), positions, encodings,
            past_key_values=cache, use_cache=True, logits_to_keep=last,
            before=self._prefix_ids(rows, starts, state.mask.shape[1]),
        )
        logits: torch.Tensor = output.logits[:, 0]
        return logits

    def _count(self, ids: torch.Tensor, lengths: Sequence[int]) -> None:
        self.tokens += ids.numel()
        self.padding += ids.numel() - sum(lengths)

    def _prefix_ids(self, rows: list[Row], stops: list[int], width: int) -> torch.Tensor:
        """The ids behind the cache, left-padded as they went in."""
        import torch

        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for index, (row, stop) in enumerate(zip(rows, stops)):
            ids[index, width - stop :] = torch.from_numpy(row.ids[:stop])
        return ids

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, encodings: list[Encoding],
                 before: torch.Tensor | None = None, **arguments: object) -> Any:
        """One pass; `before` holds the ids whose keys and values are already in the cache."""
        import torch

        device = self.model.device
        if self.model.config.model_type == "gemma3":
            # Gemma's images attend to themselves in both directions; it wants to know where they are, from the
            # first cached token on.
            whole = ids if before is None else torch.cat([before, ids], dim=1)
            arguments["token_type_ids"] = (whole == self.image_token).long().to(device)
        if encodings:
            arguments["mm_encoder_outputs"] = {"image": self._encoder_output(encodings)}
        step()
        with torch.inference_mode():
            return self.model(
                input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=positions.to(device), **arguments
            )

    def _encoder_output(self, encodings: list[Encoding]) -> ModelOutput:
        """Features of several images in the container in which the family's encoder returns them."""
        import torch

        features = [encoding.features for encoding in encodings]
        arguments: dict[str, object] = {"pooler_output": features if self.vision.as_list else torch.cat(features)[None]}
        if encodings[0].deepstack:
            arguments["deepstack_features"] = [list(layer) for layer in zip(*(one.deepstack for one in encodings))]
        assert self.vision.output_class is not None  # It is known from the first encoding on.
        return self.vision.output_class(**arguments)
