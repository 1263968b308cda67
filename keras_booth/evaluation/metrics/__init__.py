"""What is asked of pictures."""

from keras_booth.evaluation.metrics.default import default_metrics, default_metrics_of
from keras_booth.evaluation.metrics.diversity import Diversity
from keras_booth.evaluation.metrics.metric import CLASS, SUBJECT, Metric
from keras_booth.evaluation.metrics.paper import metrics_of, paper_metrics
from keras_booth.evaluation.metrics.similarity import ImageSimilarity, PromptSimilarity

__all__ = [
    "CLASS",
    "Diversity",
    "ImageSimilarity",
    "Metric",
    "PromptSimilarity",
    "SUBJECT",
    "default_metrics",
    "default_metrics_of",
    "metrics_of",
    "paper_metrics",
]
