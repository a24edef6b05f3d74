"""The layers of server.js by the names that it knows them under."""

from __future__ import annotations

dropout = "layers.dropout"
spatialDropout1d = "layers.spatialDropout1d"
alphaDropout = "layers.alphaDropout"
op = "op.dropout"
simpleRNN_input = "recurrent.simpleRNN.input"
simpleRNN_recurrent = "recurrent.simpleRNN.recurrent"
gru_input = "recurrent.gru.input"
gru_recurrent = "recurrent.gru.recurrent"
lstm_input = "recurrent.lstm.input"
lstm_recurrent = "recurrent.lstm.recurrent"
