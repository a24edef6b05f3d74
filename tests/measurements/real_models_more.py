"""More real models for ``real_models.py``: of transformers and timm, small, with random weights."""

from __future__ import annotations

from typing import Any

import torch

WORDS = torch.arange(44).reshape(4, 11)
PICTURES = torch.linspace(-2, 2, 4 * 3 * 32 * 32).reshape(4, 3, 32, 32)
LARGER = torch.linspace(-2, 2, 4 * 3 * 64 * 64).reshape(4, 3, 64, 64)
TEXT = {
    "vocab_size": 200,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEEN = {name: TEXT[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
SIDES = {
    f"{side}_{what}": n
    for side in ("encoder", "decoder")
    for what, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 128))
}


def _hf(kind: str, **given: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**given))


def _timm(name: str, **given: Any) -> Any:
    import timm

    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, num_classes=10, **given)


def modernbert() -> Any:
    some = {"embedding_dropout": 0.1, "mlp_dropout": 0.1, "attention_dropout": 0.1, "classifier_dropout": 0.1}
    return _hf("ModernBert", **{**TEXT, "cls_token_id": 1, "sep_token_id": 2}, **some)


def qwen2() -> Any:
    return _hf("Qwen2", **TEXT, num_key_value_heads=2, attention_dropout=0.1)


def gemma() -> Any:
    return _hf("Gemma", **TEXT, num_key_value_heads=1, head_dim=16, attention_dropout=0.2)


def mamba() -> Any:
    return _hf("Mamba", vocab_size=200, hidden_size=32, num_hidden_layers=2, state_size=4)


def opt() -> Any:
    size = {"vocab_size": 200, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128}
    return _hf("OPT", **size, word_embed_proj_dim=64, max_position_embeddings=64, dropout=0.1, attention_dropout=0.1)


def gpt_neo() -> Any:
    size = {
        "vocab_size": 200,
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
    }
    return _hf(
        "GPTNeo", **size, max_position_embeddings=64, resid_dropout=0.1, embed_dropout=0.1, attention_dropout=0.1
    )


def xlnet() -> Any:
    return _hf("XLNet", vocab_size=200, d_model=64, n_layer=2, n_head=4, d_inner=128, dropout=0.1)


def longformer() -> Any:
    return _hf("Longformer", **TEXT, attention_window=[4, 4], max_position_embeddings=64)


def bigbird() -> Any:
    return _hf("BigBird", **TEXT, attention_type="original_full", max_position_embeddings=64)


def reformer() -> Any:
    size = {
        "vocab_size": 200,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "attention_head_size": 16,
        "feed_forward_size": 64,
    }
    place = {"axial_pos_embds": False, "max_position_embeddings": 64, "attn_layers": ["local", "local"]}
    return _hf(
        "Reformer",
        **size,
        **place,
        hidden_dropout_prob=0.1,
        local_attn_chunk_length=4,
        is_decoder=False,
        local_attention_probs_dropout_prob=0.1,
    )


def fnet() -> Any:
    return _hf("FNet", **{k: v for k, v in TEXT.items() if k != "num_attention_heads"}, max_position_embeddings=64)


def funnel() -> Any:
    size = {
        "vocab_size": 200,
        "d_model": 32,
        "n_head": 4,
        "d_head": 8,
        "d_inner": 64,
        "block_sizes": [1, 1],
        "num_decoder_layers": 1,
    }
    return _hf("Funnel", **size, hidden_dropout=0.1, attention_dropout=0.1, activation_dropout=0.1)


def perceiver() -> Any:
    size = {"num_latents": 8, "d_latents": 32, "d_model": 16, "num_blocks": 1, "num_self_attends_per_block": 2}
    return _hf("Perceiver", **size, num_self_attention_heads=4, num_cross_attention_heads=4)


def clip() -> Any:
    text = {**TEXT, "max_position_embeddings": 32, "attention_dropout": 0.1}
    sight = {**SEEN, "image_size": 32, "patch_size": 8, "attention_dropout": 0.1}
    return _hf("CLIP", text_config=text, vision_config=sight, projection_dim=32)


def sam() -> Any:
    sight = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 16,
        "output_channels": 16,
        "global_attn_indexes": [1],
        "window_size": 2,
        "mlp_dim": 64,
        "attention_dropout": 0.1,
        "num_pos_feats": 8,
    }
    point = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    mask = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return _hf("Sam", vision_config=sight, prompt_encoder_config=point, mask_decoder_config=mask)


def segformer() -> Any:
    size = {
        "num_encoder_blocks": 2,
        "depths": [2, 2],
        "sr_ratios": [4, 2],
        "hidden_sizes": [16, 32],
        "patch_sizes": [7, 3],
        "strides": [4, 2],
        "num_attention_heads": [1, 2],
        "mlp_ratios": [2, 2],
    }
    return _hf("Segformer", **size, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, drop_path_rate=0.2)


def mobilevit() -> Any:
    size = {"hidden_sizes": [24, 32, 40], "neck_hidden_sizes": [8, 12, 16, 24, 32, 40, 80], "num_attention_heads": 4}
    return _hf("MobileViT", **size, image_size=64, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def beit() -> Any:
    return _hf(
        "Beit",
        **SEEN,
        image_size=32,
        patch_size=8,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        drop_path_rate=0.2,
    )


def hubert() -> Any:
    some = {"conv_dim": (16, 16), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2}
    return _hf(
        "Hubert",
        **SEEN,
        **some,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        layerdrop=0.1,
        mask_time_prob=0.0,
    )


def speecht5() -> Any:
    size = {"vocab_size": 30, "hidden_size": 32, **{k: (64 if k.endswith("dim") else v) for k, v in SIDES.items()}}
    model = _hf(
        "SpeechT5",
        **size,
        num_mel_bins=8,
        max_text_positions=32,
        max_speech_positions=64,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        speech_decoder_prenet_units=16,
        reduction_factor=2,
    )
    from transformers.models.speecht5 import modeling_speecht5 as m

    model = m.SpeechT5Model(
        model.config, m.SpeechT5EncoderWithTextPrenet(model.config), m.SpeechT5DecoderWithSpeechPrenet(model.config)
    )
    return model


def timeseries() -> Any:
    return _hf(
        "TimeSeriesTransformer",
        prediction_length=4,
        context_length=8,
        d_model=16,
        lags_sequence=[1, 2],
        num_time_features=1,
        input_size=1,
        **{k: (32 if k.endswith("dim") else v) for k, v in SIDES.items()},
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
    )


def patchtst() -> Any:
    return _hf(
        "PatchTST",
        num_input_channels=2,
        context_length=32,
        patch_length=4,
        patch_stride=4,
        d_model=16,
        ffn_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        attention_dropout=0.1,
        ff_dropout=0.1,
        path_dropout=0.1,
        do_mask_input=False,
    )


def patchtsmixer() -> Any:
    return _hf(
        "PatchTSMixer",
        num_input_channels=2,
        context_length=32,
        patch_length=4,
        patch_stride=4,
        d_model=16,
        dropout=0.2,
        num_layers=2,
    )


def informer() -> Any:
    return _hf(
        "Informer",
        prediction_length=4,
        context_length=8,
        d_model=16,
        lags_sequence=[1, 2],
        num_time_features=1,
        input_size=1,
        **{k: (32 if k.endswith("dim") else v) for k, v in SIDES.items()},
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
    )


def timm_maxvit() -> Any:
    return _timm("maxvit_rmlp_pico_rw_256", img_size=64, drop_rate=0.2, drop_path_rate=0.2)


def timm_eva() -> Any:
    return _timm(
        "eva02_tiny_patch14_224",
        img_size=28,
        depth=2,
        embed_dim=48,
        num_heads=4,
        drop_rate=0.1,
        attn_drop_rate=0.1,
        proj_drop_rate=0.1,
        drop_path_rate=0.2,
    )


def timm_davit() -> Any:
    return _timm(
        "davit_tiny",
        depths=(1, 1, 2, 1),
        embed_dims=(16, 32, 32, 32),
        num_heads=(2, 2, 2, 2),
        drop_rate=0.2,
        drop_path_rate=0.2,
    )


def timm_convnextv2() -> Any:
    return _timm("convnextv2_atto", drop_rate=0.2, drop_path_rate=0.2)


def timm_mixer() -> Any:
    return _timm("mixer_s32_224", img_size=64, drop_rate=0.1, proj_drop_rate=0.1, drop_path_rate=0.2)


def timm_poolformer() -> Any:
    return _timm("poolformer_s12", drop_rate=0.2, proj_drop_rate=0.1, drop_path_rate=0.2)


def timm_densenet() -> Any:
    return _timm("densenet121", drop_rate=0.2, proj_drop_rate=0.1)


def timm_xcit() -> Any:
    return _timm(
        "xcit_nano_12_p16_224",
        img_size=64,
        depth=2,
        drop_rate=0.1,
        attn_drop_rate=0.1,
        proj_drop_rate=0.1,
        drop_path_rate=0.2,
    )


def timm_mobilenetv4() -> Any:
    return _timm("mobilenetv4_conv_small", drop_rate=0.2, drop_path_rate=0.2)


modernbert_input = qwen2_input = gemma_input = mamba_input = opt_input = gpt_neo_input = xlnet_input = WORDS
longformer_input = bigbird_input = fnet_input = funnel_input = WORDS
reformer_input = WORDS[:, :8]
perceiver_input = torch.linspace(-1, 1, 4 * 6 * 16).reshape(4, 6, 16)
clip_input = {"input_ids": WORDS, "pixel_values": PICTURES}
sam_input = {
    "pixel_values": LARGER,
    "input_points": torch.full((4, 1, 1, 2), 20.0),
    "input_labels": torch.ones(4, 1, 1, dtype=torch.long),
}
segformer_input = mobilevit_input = LARGER
beit_input = PICTURES
hubert_input = torch.linspace(-1, 1, 4 * 400).reshape(4, 400)
speecht5_input = {
    "input_values": WORDS % 30,
    "decoder_input_values": torch.linspace(-1, 1, 4 * 6 * 8).reshape(4, 6, 8),
    "speaker_embeddings": torch.linspace(-1, 1, 4 * 512).reshape(4, 512),
}
timeseries_input = informer_input = {
    "past_values": torch.linspace(0, 1, 40).reshape(4, 10),
    "past_time_features": torch.zeros(4, 10, 1),
    "past_observed_mask": torch.ones(4, 10),
    "future_values": torch.linspace(0, 1, 16).reshape(4, 4),
    "future_time_features": torch.zeros(4, 4, 1),
}
patchtst_input = patchtsmixer_input = torch.linspace(-1, 1, 4 * 32 * 2).reshape(4, 32, 2)
timm_maxvit_input = timm_davit_input = timm_convnextv2_input = timm_mixer_input = timm_poolformer_input = LARGER
timm_densenet_input = timm_xcit_input = timm_mobilenetv4_input = LARGER
timm_eva_input = LARGER[..., :28, :28].contiguous()
