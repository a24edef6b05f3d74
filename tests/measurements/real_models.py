"""Real models, measured: an independent walk over every random draw of a pass beside what dropcheck sees of the same model.

    python tests/measurements/real_models.py             all models: number, shape and place of all draws; a table
    python tests/measurements/real_models.py bert vit    some of them (real_models_more.py has the later ones)
    python tests/measurements/real_models.py --audit bert    also the whole quick audit of each

The walk shares nothing with dropcheck's recorder (a dispatch mode): it replaces the public functions and methods that draw, keeps
the stack of modules by replacing ``Module.__call__``, and reads the generator around each. The states are a chain: each draw must
start where the one before ended, so a draw that no function here makes shows as a gap. Models are small and have random weights.
"""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import real_models_more  # noqa: E402

WORDS = torch.arange(44).reshape(4, 11)
PICTURES = torch.linspace(-2, 2, 4 * 3 * 32 * 32).reshape(4, 3, 32, 32)
SMALL = {
    "vocab_size": 200,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}


def _hf(kind: str, **given: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**given))


def _timm(name: str, **given: Any) -> Any:
    import timm

    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, **given)


def bert() -> Any:
    return _hf("Bert", **SMALL, max_position_embeddings=64)


def roberta() -> Any:
    return _hf("Roberta", **SMALL, max_position_embeddings=64)


def electra() -> Any:
    return _hf("Electra", **SMALL, embedding_size=32, max_position_embeddings=64)


def albert() -> Any:
    some = {**SMALL, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    return _hf("Albert", **some, embedding_size=32, max_position_embeddings=64)


def deberta() -> Any:
    return _hf("DebertaV2", **SMALL, max_position_embeddings=64, relative_attention=True, pos_att_type=["c2p", "p2c"])


def convbert() -> Any:
    return _hf("ConvBert", **{**SMALL, "num_hidden_layers": 1}, embedding_size=64, max_position_embeddings=64)


def distilbert() -> Any:
    return _hf("DistilBert", vocab_size=200, dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=64)


def gpt2() -> Any:
    return _hf("GPT2", vocab_size=200, n_embd=64, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0)


def t5() -> Any:
    size = {"vocab_size": 200, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    return _hf("T5", **size, dropout_rate=0.1, decoder_start_token_id=0)


def bart() -> Any:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in _SIDES}
    return _hf("Bart", vocab_size=200, d_model=64, **sides, attention_dropout=0.1, activation_dropout=0.1)


def whisper() -> Any:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in _SIDES}
    frames = {"max_source_positions": 50, "max_target_positions": 20, "num_mel_bins": 16}
    words = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    return _hf("Whisper", vocab_size=200, d_model=64, **sides, **frames, **words, dropout=0.1, attention_dropout=0.1)


def wav2vec2() -> Any:
    some = {"conv_dim": (16, 16), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2}
    return _hf("Wav2Vec2", **SMALL, **some, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, layerdrop=0.0)


def vit() -> Any:
    size = {k: v for k, v in SMALL.items() if k != "vocab_size"}
    return _hf("ViT", **size, image_size=32, patch_size=8, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def swin() -> Any:
    size = {"image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    return _hf("Swin", **size, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, drop_path_rate=0.2)


def convnext() -> Any:
    return _hf("ConvNext", hidden_sizes=[16, 32], depths=[2, 2], num_stages=2, drop_path_rate=0.2)


def timm_efficientnet() -> Any:
    return _timm("efficientnet_b0", num_classes=10, drop_rate=0.2, drop_path_rate=0.2)


def timm_convnext() -> Any:
    return _timm("convnext_atto", num_classes=10, drop_path_rate=0.2)


def timm_vit() -> Any:
    size = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 10}
    return _timm(
        "vit_tiny_patch16_224", **size, drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2, proj_drop_rate=0.1
    )


def timm_swin() -> Any:
    size = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 4)}
    return _timm("swin_tiny_patch4_window7_224", **size, num_classes=10, proj_drop_rate=0.1, attn_drop_rate=0.1)


def timm_resnet_dropblock() -> Any:
    return _timm("resnet18", num_classes=10, drop_rate=0.2, drop_block_rate=0.1)


_SIDES = (("layers", 2), ("attention_heads", 4), ("ffn_dim", 128))


class Graph(nn.Module):
    """Two layers of attention over edges, with dropout on features and on attention weights, in functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.score, self.second, self.drop = (
            nn.Linear(16, 32),
            nn.Linear(64, 1),
            nn.Linear(32, 5),
            nn.Dropout(0.5),
        )

    def forward(self, x: Any, edges: Any) -> Any:
        h = self.first(F.dropout(x, 0.6, self.training))
        source, end = edges
        weight = torch.sigmoid(self.score(torch.cat((h[source], h[end]), 1)))
        weight = F.dropout(weight, 0.4, self.training)
        h = torch.zeros_like(h).index_add(0, end, weight * h[source])
        return self.second(self.drop(torch.relu(h)))


class Tagger(nn.Module):
    """The tagger that this project grew from, in PyTorch: spatial dropout on words, recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.drop = nn.Embedding(50, 16), nn.Dropout1d(0.2)
        self.rnn, self.out = nn.GRU(16, 8, 3, dropout=0.4, bidirectional=True, batch_first=True), nn.Linear(16, 9)

    def forward(self, words: Any) -> Any:
        x = self.drop(self.table(words).transpose(1, 2)).transpose(1, 2)
        return self.out(self.rnn(x)[0])


def graph() -> Any:
    torch.manual_seed(0)
    return Graph()


def tagger() -> Any:
    torch.manual_seed(0)
    return Tagger()


def encoder() -> Any:
    torch.manual_seed(0)
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True), 2)


# what each is called with
bert_input = roberta_input = electra_input = albert_input = deberta_input = convbert_input = WORDS
distilbert_input = gpt2_input = WORDS
tagger_input = WORDS
t5_input = bart_input = {"input_ids": WORDS, "decoder_input_ids": WORDS[:, :7]}
whisper_input = {
    "input_features": torch.linspace(-1, 1, 4 * 16 * 100).reshape(4, 16, 100),
    "decoder_input_ids": WORDS[:, :7],
}
wav2vec2_input = torch.linspace(-1, 1, 4 * 400).reshape(4, 400)
vit_input = swin_input = convnext_input = PICTURES
timm_efficientnet_input = timm_convnext_input = timm_vit_input = timm_swin_input = PICTURES
timm_resnet_dropblock_input = torch.linspace(-2, 2, 4 * 3 * 64 * 64).reshape(4, 3, 64, 64)
graph_input = (
    torch.linspace(-2, 2, 480).reshape(30, 16),
    torch.stack([torch.arange(30), (torch.arange(30) * 7 + 1) % 30]),
)
encoder_input = torch.linspace(-2, 2, 4 * 11 * 32).reshape(4, 11, 32)
MODELS = [
    name
    for name, one in list(vars().items())
    if callable(one) and f"{name}_input" in vars() and not isinstance(one, type)
]
MORE = [name.removesuffix("_input") for name in vars(real_models_more) if name.endswith("_input")]

Site = tuple[str, tuple[int, ...]]  # module, shape of what is drawn
_DRAW = ("bernoulli", "rand", "rand_like", "randn", "randn_like", "randint", "randperm", "multinomial", "normal")
_METHODS = ("bernoulli_", "bernoulli", "uniform_", "normal_", "random_", "exponential_", "multinomial")
_FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "scaled_dot_product_attention")


class Walk:
    """Every draw of one pass, seen at the functions that draw: module and shape; ``gaps``: draws that none of them made."""

    def __init__(self, model: Any) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.sites: list[Site] = []
        self.gaps = self.depth = 0
        self.stack: list[Any] = []
        self.changed: list[tuple[Any, str, Any]] = []

    def _set(self, owner: Any, name: str, made: Callable[[Any], Any]) -> None:
        if (old := getattr(owner, name, None)) is not None:
            self.changed.append((owner, name, old))
            setattr(owner, name, made(old))

    def _drawing(self, name: str) -> Callable[[Any], Any]:
        def made(old: Any) -> Any:
            def call(*args: Any, **given: Any) -> Any:
                if self.depth:
                    return old(*args, **given)
                before, self.depth = torch.get_rng_state(), 1
                try:
                    out = old(*args, **given)
                finally:
                    self.depth = 0
                after = torch.get_rng_state()
                if not torch.equal(before, after):
                    self.gaps += not torch.equal(self.state, before)
                    self.state = after
                    module = next((m for m in reversed(self.stack) if m in self.names), None)
                    shapes = _shapes(name, args, given, out)
                    self.sites += [(self.names.get(module, ""), shape) for shape in shapes]
                return out

            return call

        return made

    def _called(self, old: Any) -> Any:
        def call(module: Any, *args: Any, **given: Any) -> Any:
            self.stack.append(module)
            try:
                return old(module, *args, **given)
            finally:
                self.stack.pop()

        return call

    def run(self, forward: Callable[[], Any]) -> None:
        """One pass; everything is put back at its end."""
        self._set(nn.Module, "__call__", self._called)
        for owner, names in ((torch, _DRAW), (torch.Tensor, _METHODS), (F, _FUNCTIONS)):
            for name in names:
                self._set(owner, name, self._drawing(name))
        self._set(torch._VF, "lstm", self._drawing("recurrent"))
        self._set(torch._VF, "gru", self._drawing("recurrent"))
        self.state = torch.get_rng_state()
        try:
            forward()
            self.gaps += not torch.equal(self.state, torch.get_rng_state())
        finally:
            for owner, name, old in reversed(self.changed):
                setattr(owner, name, old)


def _shapes(name: str, args: Any, given: Any, out: Any) -> list[tuple[int, ...]]:
    """Shapes of what one call of a function draws, by its documentation."""
    if name == "scaled_dot_product_attention":
        q, k = (
            given.get(word, args[place] if len(args) > place else None) for place, word in enumerate(("query", "key"))
        )
        return [(*q.shape[:-1], k.shape[-2])]
    if name in ("dropout1d", "dropout2d", "dropout3d"):
        x = args[0] if args else given["input"]
        return [(*x.shape[:2], *[1] * (x.dim() - 2))]
    if name == "recurrent":  # batch first: what is between two layers, time first
        x, layers, both, dropout_first = args[0], args[4], args[7], args[8]
        hidden = out[0].shape[-1]
        sizes = (x.shape[1], x.shape[0], hidden) if dropout_first else (*x.shape[:2], hidden)
        return [tuple(int(n) for n in sizes)] * (layers - 1 if both is not None else 0)
    return [tuple(int(n) for n in out.shape)]


def _walked(model: Any, sample: Any, training: bool) -> Walk:
    model.train(training)
    walk = Walk(model)
    with torch.no_grad():
        walk.run(lambda: _call(model, sample))
    return walk


def _call(model: Any, sample: Any) -> Any:
    if isinstance(sample, dict):
        return model(**sample)
    return model(*sample) if isinstance(sample, tuple) else model(sample)


def measured(name: str, whole: bool) -> tuple[list[str], list[str]]:
    """A row of the table, and lines about what differs."""
    import dropcheck
    from dropcheck.plan import models
    from dropcheck.plan.targets import parse

    torch.manual_seed(7)
    file, here = (real_models_more.__file__, vars(real_models_more)) if name in MORE else (__file__, globals())
    model, sample = here[name](), here[f"{name}_input"]
    walk, quiet = _walked(model, sample, True), _walked(model, sample, False)
    truth = collections.Counter(walk.sites)
    began = time.process_time()
    look = models.look(parse(f"{file}:{name}"), in_process=True)
    spent = time.process_time() - began
    assert look is not None and look.sites is not None, name
    seen = collections.Counter((one.module, one.shape) for one in look.sites.training)
    hidden = len(look.sites.hidden)
    faults = [f"{name}: {one.sentence}" for one in look.layers if one.faults]
    lines = faults + [
        f"{name}: {note}" for note in look.notes if " drops in inference" in note or "expected masks" in note
    ]
    for site in sorted((truth - seen) + (seen - truth)):
        lines.append(f"{name}: {site}: {truth[site]} in the walk, {seen[site]} by dropcheck")
    row = [name, f"{sum(truth.values())} / {sum(seen.values())}", str(hidden)]
    row += [f"{len(quiet.sites)} / {len(look.sites.inference)}", str(walk.gaps)]
    if not truth and not seen:  # an audit refuses it in one sentence
        return [*row, "yes" if not walk.gaps else "no", str(len(faults)), "none to audit", f"{spent:.0f}"], lines
    result = dropcheck.audit(f"{file}:{name}", select=() if whole else ("site",), in_process=True, jobs=1)
    failed = [
        f"{t.target.rpartition(':')[2]} {f.check}" for t in result.targets for f in t.findings if f.verdict == "fail"
    ]
    lines += [f"{name}: fails {one}" for one in failed]
    agree = truth == seen and not walk.gaps and len(quiet.sites) == len(look.sites.inference)
    return [*row, "yes" if agree else "no", str(len(faults)), str(len(failed)), f"{spent:.0f}"], lines


def main(words: list[str]) -> None:
    whole = "--audit" in words
    names = [word for word in words if not word.startswith("-")] or [*MODELS, *MORE]
    head = [
        "model",
        "draws: walk / dropcheck",
        "in functions",
        "in inference",
        "gaps",
        "agree",
        "faults",
        "failures",
        "s",
    ]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    told: list[str] = []
    for name in names:
        try:
            row, lines = measured(name, whole)
        except ModuleNotFoundError as missing:
            row, lines = [name, f"not run: {missing.name} is not installed"], []
        print("| " + " | ".join(row) + " |", flush=True)
        told += lines
    print("\n".join(["", *told]))


if __name__ == "__main__":
    main(sys.argv[1:])
