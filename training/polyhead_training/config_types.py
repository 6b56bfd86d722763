"""What a training config says, as frozen values; `polyhead_training.config` reads it from TOML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HeadKind = Literal["classification", "tagging", "spans"]
Pooling = Literal["mean", "first", "max", "last"]
Init = Literal["pretrained", "random"]
Format = Literal["jsonl", "csv", "conllu", "conll", "text", "hub"]
Metric = Literal["accuracy", "macro_recall", "macro_f1", "entity_f1"]
Leakage = Literal["warn", "drop", "error"]
Schedule = Literal["linear", "cosine", "constant", "slanted"]
TrainMode = Literal["full", "frozen", "gradual", "adapters"]
OptimiserKind = Literal["adamw", "radam", "adafactor", "sgd"]
SamplingKind = Literal["proportional", "temperature", "annealed"]
Precision = Literal["auto", "bf16", "fp32"]
ExportPrecision = Literal["int8", "fp32"]


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The shared encoder and the windows it reads."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Hub id or directory of the pretrained encoder."""
    max_tokens: int = 256
    """Longest window in tokens, special tokens included; 16 to 512."""
    overlap: int = 64
    """Tokens shared by neighbouring windows of a long text; at most half a window."""
    shape_embedding: bool = True
    """Add letter-case information that an uncased vocabulary lost."""
    dropout: float = 0.1
    """Dropout probability in the encoder and before the heads; 0 to 0.9."""
    init: Init = "pretrained"
    """Weights to begin with: the pretrained ones, or random ones of the same architecture."""
    attention_dropout: float = 0.0
    """Dropout probability of attention weights, a sixth of a step on CPU; 0 to 0.9."""
    train: TrainMode = "full"
    """What learns: all of it, nothing, layer after layer from the top, or low-rank adapters."""
    unfrozen_by: float = 0.5
    """Point of training at which gradual unfreezing has reached the embeddings; 0.01 to 0.99."""
    adapter_rank: int = 8
    """Inner size of an adapter; 1 to 1024."""
    adapter_alpha: float = 16.0
    """Adapters are scaled by this over their rank; 0.001 to 10000."""
    mix: bool = False
    """Take a learned mix of all layers in place of the top one."""
    layers: int | tuple[int, ...] = 0
    """Layers kept of the pretrained ones: how many from the bottom, 0 for all, or which, from 0."""
    add_layers: int = 0
    """New layers of the encoder's own kind on top of it; 0 to 100."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the weights are fitted."""

    batch_tokens: int = 1024
    """Padded tokens in one step; at least `max_tokens`."""
    learning_rate: float = 2e-4
    """Peak learning rate of the encoder; 0 to 1."""
    layer_decay: float = 1.0
    """Learning rate of each encoder layer over that of the layer above it; 0.1 to 1."""
    head_learning_rate: float = 1e-3
    """Peak learning rate of the heads and the shape embedding; 1e-8 to 1."""
    weight_decay: float = 0.01
    """Decoupled weight decay; 0 to 1."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up; slanted is linear, from and to 1/32."""
    warmup: float = 0.06
    """Fraction of the steps in which the learning rate rises; 0 to 0.9."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0.001 to 1000."""
    label_smoothing: float = 0.0
    """Probability mass taken from the gold label; 0 to 0.5."""
    average: float = 0.0
    """Decay of the moving average of the weights, 0 for none; 0 to 0.99999."""
    validations: int = 6
    """Validations spread evenly over training; 1 to 1000."""
    patience: int = 3
    """Validations without improvement before training stops, 0 for never; 0 to 1000."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints; 0 (after every step) to 86400."""
    precision: Precision = "auto"
    """Number format of the forward pass; auto takes bf16 where it is fast."""
    threads: int = 0
    """CPU threads, 0 for all; 0 to 1024."""
    optimiser: OptimiserKind = "adamw"
    """What turns gradients into steps."""
    sampling: SamplingKind = "proportional"
    """Steps of a source: in proportion to its passes and size, flatter, or ever flatter."""
    sampling_temperature: float = 2.0
    """A source's share goes with its size to the power 1 / this (annealed: at last); 1 to 1000."""
    consistency: float = 0.0
    """Weight of the disagreement of two passes with other dropout, 0 for one pass; 0 to 1000."""


@dataclass(frozen=True, slots=True)
class DistillationConfig:
    """How much is learned from teachers, where ``fit --teacher`` names any."""

    weight: float = 0.5
    """Share of the loss that compares with the teachers, the rest with the labels; 0 to 1."""
    temperature: float = 2.0
    """Flattens the distributions that are compared; 0.1 to 100."""
    heads: tuple[str, ...] = ()
    """The heads that teachers are asked about, empty for all that they know."""


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """How the bundle is written."""

    calibration_samples: int = 300
    """Training texts that set the int8 ranges; 1 to 100000."""
    precision: ExportPrecision = "int8"
    """Precision of the served encoder."""
    calibrate: bool = True
    """Fit a temperature for each head on its dev data, so that scores are as high as they are
    right."""
    torch: bool = False
    """Put the weights for the server's engine ``torch`` into the bundle, too, in fp32."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """One task: a small output layer over the shared encoder."""

    name: str
    """The task's name, ``[a-z0-9_-]{1,64}``, different for each head."""
    kind: HeadKind
    """One label a text, one tag a word, or labelled spans of words."""
    labels: tuple[str, ...]
    """The labels in output order; for spans the span labels, without O."""
    hidden: int = 0
    """Width of a tanh layer before the output, 0 for none; 0 to 8192."""
    pooling: Pooling = "mean"
    """How a classification head gathers the token vectors of a text."""
    weight: float = 1.0
    """Factor of the head's loss; 0.001 to 1000."""
    export: bool = True
    """False for an auxiliary head: trained, but not served."""
    line: int = field(default=1, compare=False)
    """Line of the head in the config."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Probabilities of changes to a training example, each from 0 to 1."""

    lower: float = 0.0
    """All letters to lower case; lower, upper and title together at most 1."""
    upper: float = 0.0
    """All letters to upper case."""
    title: float = 0.0
    """Each Word Capitalised."""
    join: float = 0.0
    """The example is joined with those that follow in its group; words only."""
    typo: float = 0.0
    """A letter is swapped, dropped or doubled."""
    synonym: float = 0.0
    """About one word in six is replaced by a synonym; never names or words inside spans."""
    lemma: float = 0.0
    """About one word in six is replaced by another form of its lemma, likewise."""
    mention: float = 0.0
    """Chance of each span to be replaced by another of its label and length; spans only."""
    punctuation: float = 0.0
    """The marks at the end are left out; classification only."""
    mask: float = 0.0
    """Chance of each word, not of the example, to be masked; 0 to 0.9."""
    drop: float = 0.0
    """Chance of each word to be left out; classification only; 0 to 0.9."""


@dataclass(frozen=True, slots=True)
class VaryConfig:
    """Changed copies of texts without labels."""

    copies: int = 0
    """Of each text, beside itself; 0 to 1000. Copies that are equal count once."""
    words: float = 0.2
    """Share of the words that are replaced by others of their class, on average; 0 to 0.5."""
    cut: float = 0.15
    """Chance that a copy is only a stretch of the text."""
    join: float = 0.2
    """Chance that a copy ends as another text does; cut and join together at most 1."""


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """What the sources' changes by synonyms, lemmas and classes of words draw on."""

    synonyms: tuple[str, ...] = ()
    """Files of ``word<TAB>synonym,synonym`` lines, relative to the data directory."""
    forms: tuple[str, ...] = ()
    """CoNLL-U files whose words are used beside those of the CoNLL-U training files."""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Line of each file name in the config."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What is asked of the data as a whole."""

    leakage: Leakage = "warn"
    """What becomes of training examples that dev or test data have too."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One data set that trains or measures one head."""

    name: str
    """The source's name, ``[a-z0-9_-]{1,64}``, different for each source."""
    head: str
    """Name of the head it belongs to."""
    format: Format
    """Layout of its files."""
    train: tuple[str, ...] = ()
    """Training files relative to the data directory, ``.gz`` allowed; or splits of `hub`."""
    dev: tuple[str, ...] = ()
    """Validation files."""
    test: tuple[str, ...] = ()
    """Test files, read by the evaluation only."""
    hub: str = ""
    """Hub data set, or a directory in its form below the data directory; empty for files."""
    hub_config: str = ""
    """Which configuration of the hub data set; empty for its default."""
    hub_revision: str = ""
    """Commit, branch or tag of the hub data set; empty for the newest."""
    text: str = "text"
    """JSONL field or CSV column with the text."""
    label: str = "label"
    """JSONL field or CSV column with the label."""
    words: str = ""
    """JSONL field with a list of words in place of the text; empty for none."""
    tags: str = "tags"
    """JSONL field with one tag for each word."""
    delimiter: str = ""
    """CSV: the character between columns; empty for a TAB in .tsv files, a comma in others."""
    quotes: bool = True
    """CSV: whether cells may stand in double quotes."""
    column: str | int = ""
    """CoNLL-U: upos or xpos. CoNLL: index of the tag's column, from the end if negative."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Source label to head label; to an empty text drops the example, or makes a span's words O."""
    among: tuple[str, ...] = ()
    """The head's labels that the source can tell apart, in the head's order."""
    passes: float = 1.0
    """Times that training goes through the source; 0.001 to 1000."""
    max_examples: int = 0
    """Training examples taken after a seeded shuffle, 0 for all."""
    hold_out: int = 0
    """Training examples set aside as further validation examples, 0 for none; at most half."""
    metric: Metric = "accuracy"
    """Figure reported for the source."""
    licence: str = ""
    """Licence of the data, written into the bundle."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes made to training examples."""
    select: bool = True
    """Whether its figure counts in the choice of the best weights."""
    unlabelled: bool = False
    """The training files have texts only; teachers say what there is to learn."""
    vary: VaryConfig = field(default_factory=VaryConfig)
    """Copies of texts without labels."""
    soft_targets: bool = True
    """Whether teachers are asked about its texts, where there are any; else labels alone teach."""
    config: str = field(default="", compare=False)
    """Path of the config, for problems with the files it names."""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Line of each file name in the config."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole training run."""

    name: str
    """Name of the bundle, ``[a-z0-9_.-]{1,64}``."""
    version: str
    """Version of the bundle."""
    seed: int
    """Seed of everything random; 0 to 2**32 - 1."""
    language: str
    """Language tag of the texts, such as en."""
    encoder: EncoderConfig
    """The shared encoder."""
    training: TrainingConfig
    """How it is fitted."""
    heads: tuple[HeadConfig, ...]
    """The tasks, in the config's order."""
    sources: tuple[SourceConfig, ...]
    """The data, in the config's order."""
    export: ExportConfig
    """How the bundle is written."""
    data: DataConfig
    """What is asked of the data as a whole."""
    augmentation: AugmentationConfig
    """What augmentation by synonyms and lemmas draws on."""
    distillation: DistillationConfig
    """How much is learned from teachers."""
    path: Path
    """The file that the config was read from."""

    def head(self, name: str) -> HeadConfig:
        """The head called `name`; raises KeyError where there is none."""
        for head in self.heads:
            if head.name == name:
                return head
        raise KeyError(name)
