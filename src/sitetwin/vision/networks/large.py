"""Large networks through `transformers`: metric depth, open words, masks of boxes, classes of pixels.

Model and processor come from the user, as `transformers` loads them (`AutoModelForDepthEstimation.from_pretrained`,
...), so that weights, versions and licences are the user's choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.protocols import DepthMap, Detector, Segment
from sitetwin.vision.tiles import merge

CITYSCAPES: Mapping[str, str] = {
    "pole": "pole",
    "vegetation": "tree",
    "person": "person",
    "rider": "person",
    "car": "car",
    "truck": "truck",
    "bus": "bus",
    "motorcycle": "motorcycle",
    "bicycle": "bicycle",
}
"""Classes of Cityscapes that are objects, by our names."""

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)

LEAST_PIXELS = 30
"""Pixels of a component that counts as an object."""


class MetricDepth:
    """Depth along the axis by a network such as Depth Anything V2 (metric), ZoeDepth or Depth Pro.

    A network that was trained with one focal length takes images of another for ones of objects at another distance:
    at 110 degrees a network of KITTI tells about twice the distance. Given the focal length that it was trained with,
    its depth is scaled by the ratio.

    Args:
        model: A model for depth estimation whose depth is metric.
        processor: Its image processor.
        trained_focal: Focal length in its training, in pixels of its input, after the processor has scaled the image;
            None takes its depth as it is, for networks that were told or estimate the focal length.
        name: Name for results.
    """

    def __init__(self, model: Any, processor: Any, trained_focal: float | None = None, name: str = "depth") -> None:
        if trained_focal is not None and not 0 < trained_focal < np.inf:
            raise SiteTwinError(
                f"a focal length of {trained_focal} pixels is none; give that of the network's training"
            )
        self._model, self._processor, self._focal, self.name = model.eval(), processor, trained_focal, name

    def depth(self, frame: Frame, camera: Camera) -> DepthMap:
        """Return the depth of each pixel.

        Raises:
            SiteTwinError: The image is of another size than the camera's, or the network gives no depth.
        """
        _same_size(frame, camera)
        inputs = self._processor(images=frame.image, return_tensors="pt")
        found = _run(self._model, inputs).predicted_depth
        if found.ndim == 3:
            found = found[:, None]
        import torch

        scaled = torch.nn.functional.interpolate(
            found.float(), (camera.height, camera.width), mode="bilinear", align_corners=False
        )
        values = scaled[0, 0].double().numpy()
        if self._focal is not None:
            shown = camera.fx * inputs["pixel_values"].shape[-1] / camera.width
            values = values * (shown / self._focal)
        return DepthMap(np.where(values > 0, values, np.nan), "z")


class OpenWords:
    """Finds what words name, by a network such as OWL-ViT or OWLv2.

    Args:
        model: A model for zero-shot object detection.
        processor: Its processor of images and words.
        words: What to look for, and the class that each word stands for.
        threshold: Least score.
        name: Name for results.
    """

    def __init__(
        self, model: Any, processor: Any, words: Mapping[str, str], threshold: float = 0.3, name: str = "open words"
    ) -> None:
        if not words:
            raise SiteTwinError("there are no words to look for; give some, each with its class")
        self._model, self._processor, self._words = model.eval(), processor, dict(words)
        self.threshold, self.name = threshold, name

    def detect(self, frame: Frame) -> list[Detection]:
        """Return what the words name in a frame, the most certain first."""
        words = list(self._words)
        inputs = self._processor(text=[words], images=frame.image, padding=True, return_tensors="pt")
        outputs = _run(self._model, inputs)
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs, threshold=self.threshold, target_sizes=[frame.image.shape[:2]], text_labels=[words]
        )
        return _detections(found["boxes"], found["scores"], [self._words[t] for t in found["text_labels"]], frame)


class ClosedWords:
    """Finds the classes that a network such as DETR or RT-DETR was trained with.

    Args:
        model: A model for object detection, whose configuration names its classes.
        processor: Its image processor.
        classes: Class of ours for each of its classes that matters.
        threshold: Least score.
        name: Name for results.
    """

    def __init__(
        self, model: Any, processor: Any, classes: Mapping[str, str], threshold: float = 0.3, name: str = "detector"
    ) -> None:
        unknown = set(classes) - set(model.config.id2label.values())
        if unknown or not classes:
            raise SiteTwinError(f"the network knows no class '{min(unknown, default='')}'; give some of its `id2label`")
        self._model, self._processor, self._classes = model.eval(), processor, dict(classes)
        self.threshold, self.name = threshold, name

    def detect(self, frame: Frame) -> list[Detection]:
        """Return objects of a frame, the most certain first."""
        outputs = _run(self._model, self._processor(images=frame.image, return_tensors="pt"))
        (found,) = self._processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=[frame.image.shape[:2]]
        )
        names = [self._classes.get(self._model.config.id2label[int(label)], "") for label in found["labels"]]
        return _detections(found["boxes"], found["scores"], names, frame)


class MasksOfBoxes:
    """The mask of each box of a detector, by SAM 2, which is shown the image in a square as in its training.

    Args:
        model: A `Sam2Model`.
        detector: Finds the boxes.
        name: Name for results.
    """

    def __init__(self, model: Any, detector: Detector, name: str = "sam 2") -> None:
        self._model, self._detector, self.name = model.eval(), detector, name
        self._side = int(model.config.prompt_encoder_config.image_size)

    def segments(self, frame: Frame) -> list[Segment]:
        """Return a mask for each box."""
        import cv2
        import torch

        boxes = self._detector.detect(frame)
        if not boxes:
            return []
        height, width = frame.image.shape[:2]
        square = cv2.resize(frame.image, (self._side, self._side)).astype(np.float32) / 255
        pixels = ((square - _MEAN) / _SPREAD).transpose(2, 0, 1)[None]
        scale = np.array([self._side / width, self._side / height] * 2)
        asked = torch.tensor(np.array([[one.box for one in boxes]]) * scale, dtype=torch.float32)
        inputs = {"pixel_values": torch.tensor(pixels), "input_boxes": asked, "multimask_output": False}
        outputs = _run(self._model, inputs)
        masks = torch.nn.functional.interpolate(
            outputs.pred_masks[0].float(), (height, width), mode="bilinear", align_corners=False
        )
        scores = outputs.iou_scores[0, :, 0].clamp(0, 1).tolist()
        found = (masks[:, 0] > 0).numpy()
        return [Segment(mask, score, one.name) for mask, score, one in zip(found, scores, boxes, strict=True)]


class PixelClasses:
    """Connected pixels of one class, by a network such as SegFormer or Mask2Former; as masks, and as their boxes.

    Args:
        model: A model for semantic segmentation, whose configuration names its classes.
        processor: Its image processor.
        classes: Class of ours for each of its classes that is an object; the others are dropped.
        name: Name for results.
    """

    def __init__(
        self, model: Any, processor: Any, classes: Mapping[str, str] = CITYSCAPES, name: str = "pixel classes"
    ) -> None:
        self._numbers = {n: classes[label] for n, label in model.config.id2label.items() if label in classes}
        if not self._numbers:
            raise SiteTwinError("the network knows none of the classes; name some of its `id2label`")
        self._model, self._processor, self.name = model.eval(), processor, name

    def segments(self, frame: Frame) -> list[Segment]:
        """Return a mask for each connected area of a class."""
        import cv2

        outputs = _run(self._model, self._processor(images=frame.image, return_tensors="pt"))
        (labels,) = self._processor.post_process_semantic_segmentation(outputs, target_sizes=[frame.image.shape[:2]])
        numbers = labels.numpy()
        found = []
        for number, name in self._numbers.items():
            count, areas, facts, _ = cv2.connectedComponentsWithStats((numbers == int(number)).astype(np.uint8))
            found += [
                Segment(areas == area, 1.0, name)
                for area in range(1, count)
                if facts[area, cv2.CC_STAT_AREA] >= LEAST_PIXELS
            ]
        return found

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the boxes of the masks."""
        found = []
        for one in self.segments(frame):
            rows, columns = np.flatnonzero(one.mask.any(axis=1)), np.flatnonzero(one.mask.any(axis=0))
            box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            found.append(Detection(box, one.name or "", one.score, one.mask))
        return found


def _run(model: Any, inputs: Any) -> Any:
    import torch

    with torch.inference_mode():
        wanted = {
            name: value for name, value in inputs.items() if name not in ("original_sizes", "reshaped_input_sizes")
        }
        return model(**wanted)


def _detections(boxes: Any, scores: Any, names: Sequence[str], frame: Frame) -> list[Detection]:
    """Boxes within the image, one for each object; a box without a class of ours is dropped."""
    height, width = frame.image.shape[:2]
    found = []
    for box, score, name in zip(boxes.tolist(), scores.tolist(), names, strict=True):
        left, upper, right, lower = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
        if name and left < right and upper < lower:
            found.append(Detection((left, upper, float(right), float(lower)), name, min(max(score, 0.0), 1.0)))
    return merge(found)


def _same_size(frame: Frame, camera: Camera) -> None:
    if frame.image.shape[:2] != (camera.height, camera.width):
        raise SiteTwinError(
            f"frame '{frame.source}' has {frame.image.shape[1]} x {frame.image.shape[0]} pixels and the camera "
            f"{camera.width} x {camera.height}; scale one to the other"
        )
