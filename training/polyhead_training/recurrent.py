"""Recurrent language models as encoders, built and stored like those of transformers.

Importing this module makes ``AutoConfig`` and ``AutoModel`` know them.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel

from polyhead_training.awd_lstm import AWD_LSTM, AwdLstmConfig, AwdLstmModel
from polyhead_training.bi_lstm import ELMO, ElmoConfig, ElmoModel

__all__ = ["AWD_LSTM", "ELMO", "AwdLstmConfig", "AwdLstmModel", "ElmoConfig", "ElmoModel"]

AutoConfig.register(AWD_LSTM, AwdLstmConfig, exist_ok=True)
AutoConfig.register(ELMO, ElmoConfig, exist_ok=True)
AutoModel.register(AwdLstmConfig, AwdLstmModel, exist_ok=True)
AutoModel.register(ElmoConfig, ElmoModel, exist_ok=True)
