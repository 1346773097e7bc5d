"""Large networks through transformers, with tiny random weights: shapes, units and classes come out right, offline."""

import json

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera, Depth, Detection, Detector, Frame, Segments
from sitetwin.vision.networks.large import ClosedWords, MasksOfBoxes, MetricDepth, OpenWords, PixelClasses

transformers = pytest.importorskip("transformers")
CAMERA = Camera.from_view(Pose((0.0, 0.0, 5.0)), width=96, height=54)
FRAME = Frame(np.random.default_rng(0).integers(0, 255, (54, 96, 3), dtype=np.uint8))

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)


def depth_anything():
    backbone = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type="metric", max_depth=80, reassemble_factors=[4, 2, 1, 0.5],
        patch_size=14,
    )  # fmt: skip
    size = {"height": 56, "width": 98}
    return transformers.DepthAnythingForDepthEstimation(config), transformers.DPTImageProcessor(size=size)


def test_depth_is_metric_and_scaled_by_the_focal_length():
    model, processor = depth_anything()
    plain = MetricDepth(model, processor)
    assert isinstance(plain, Depth)
    found = plain.depth(FRAME, CAMERA)
    assert found.values.shape == (54, 96)
    assert (found.kind, 0 < np.nanmin(found.values) <= np.nanmax(found.values) <= 80) == ("z", True)
    shown = CAMERA.fx * 98 / 96
    scaled = MetricDepth(model, processor, trained_focal=2.1 * shown).depth(FRAME, CAMERA)
    np.testing.assert_allclose(scaled.values, found.values / 2.1)
    with pytest.raises(SiteTwinError, match="scale one"):
        plain.depth(Frame(np.zeros((50, 50, 3), np.uint8)), CAMERA)
    with pytest.raises(SiteTwinError, match="focal length"):
        MetricDepth(model, processor, trained_focal=0.0)


def test_closed_words_are_those_of_the_network():
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=[64, 96],
        patch_size=16, num_detection_tokens=8, id2label={0: "car", 1: "dog"}, label2id={"car": 0, "dog": 1},
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config)
    processor = transformers.YolosImageProcessor(size={"height": 64, "width": 96})
    detector = ClosedWords(model, processor, {"car": "car"}, threshold=0.0)
    assert isinstance(detector, Detector)
    for one in detector.detect(FRAME):
        assert one.name == "car"
        assert 0 <= one.box[0] < one.box[2] <= 96
    with pytest.raises(SiteTwinError, match="knows no class 'bus'"):
        ClosedWords(model, processor, {"bus": "bus"})


def test_open_words_carry_their_classes(tmp_path, monkeypatch):
    letters = [chr(c) for c in range(33, 127)]
    tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    text = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "vocab_size": len(tokens), "max_position_embeddings": 16, "eos_token_id": len(tokens) - 1,
        "bos_token_id": len(tokens) - 2, "pad_token_id": 0,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 64,
        "patch_size": 16,
    }  # fmt: skip
    model = transformers.Owlv2ForObjectDetection(
        transformers.Owlv2Config(text_config=text, vision_config=vision, projection_dim=32)
    )
    images = transformers.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    processor = transformers.Owlv2Processor(images, tokenizer)
    words = {"a street lamp": "pole", "a tree": "tree"}
    detector = OpenWords(model, processor, words, threshold=0.0)
    assert isinstance(detector, Detector)
    assert {one.name for one in detector.detect(FRAME)} <= {"pole", "tree"}

    def two_lamps(outputs, threshold, target_sizes, text_labels):
        assert (outputs.logits.shape[-1], target_sizes, text_labels) == (2, [(54, 96)], [list(words)])
        boxes = torch.tensor([[10.0, 5, 14, 40], [-5.0, 2, 20, 90], [200.0, 0, 210, 9]])
        names = ["a street lamp", "a tree", "a tree"]
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.8, 0.7]), "text_labels": names}]

    monkeypatch.setattr(processor, "post_process_grounded_object_detection", two_lamps)
    assert [(one.name, one.box) for one in detector.detect(FRAME)] == [
        ("pole", (10.0, 5.0, 14.0, 40.0)),
        ("tree", (0.0, 2.0, 20.0, 54.0)),
    ]
    with pytest.raises(SiteTwinError, match="no words"):
        OpenWords(model, processor, {})


class OneBox:
    name = "one"

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, frame):
        return [Detection(box, "car") for box in self.boxes]


def test_sam_2_gives_a_mask_of_each_box():
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[64, 64], window_positional_embedding_background_size=[2, 2],
        blocks_per_stage=[1, 2, 2, 1], embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[2],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    config = transformers.Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    )
    model = transformers.Sam2Model(config)
    method = MasksOfBoxes(model, OneBox((5.0, 5.0, 30.0, 30.0), (40.0, 10.0, 90.0, 50.0)))
    assert isinstance(method, Segments)
    found = method.segments(FRAME)
    assert [(one.mask.shape, one.name) for one in found] == [((54, 96), "car")] * 2
    assert MasksOfBoxes(model, OneBox()).segments(FRAME) == []


def test_pixels_of_a_class_become_areas():
    config = transformers.SegformerConfig(
        num_encoder_blocks=4, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8, id2label={0: "road", 1: "car", 2: "pole"}, label2id={"road": 0, "car": 1, "pole": 2},
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation(config)
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 96})
    method = PixelClasses(model, processor)
    assert isinstance(method, Segments)
    assert isinstance(method, Detector)

    def painted(**inputs):
        logits = torch.zeros(1, 3, 54, 96)
        logits[:, 1, 10:20, 10:30] = logits[:, 1, 30:50, 60:90] = logits[:, 2, 5:40, 50:53] = 9.0
        return transformers.modeling_outputs.SemanticSegmenterOutput(logits=logits)

    whole = model(**processor(images=FRAME.image, return_tensors="pt")).logits
    assert whole.shape[:2] == (1, 3)
    model.forward = painted
    found = sorted(method.detect(FRAME), key=lambda one: one.box)
    assert [(one.name, one.box) for one in found] == [
        ("car", (10.0, 10.0, 30.0, 20.0)),
        ("pole", (50.0, 5.0, 53.0, 40.0)),
        ("car", (60.0, 30.0, 90.0, 50.0)),
    ]
    with pytest.raises(SiteTwinError, match="none of the classes"):
        PixelClasses(model, processor, {"tram": "bus"})
