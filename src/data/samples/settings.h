// What the options of the data come to, and which of them go together.
#pragma once
#include <cstdint>

#include "data/data_options.h"
#include "data/samples/layout.h"
#include "data/samples/sample_source.h"
#include "data/tokenizer.h"

namespace rk {

// Text becomes token files before it is used.
bool is_text(const DataOptions& options);
// Its lines are samples: jsonl, sft, sharegpt, alpaca.
bool is_lines(const DataOptions& options);

enum class Dataload : uint8_t { get, pad, only, pack };

struct SampleSettings {
  Dataload dataload = Dataload::get;
  bool run_on = false;  // padding is the text that follows
  OrderRequest order;
  RowRules rules;          // without vocab
  bool by_length = false;  // documents in the order of their lengths
  bool long_first = false;
  bool masked_qa = false;  // my_qa_mask 1
};

// Refuses options that do not go together, before any file is opened.
SampleSettings settings_of(const DataOptions& options);

// "samples: documents, as many as fit into 1024 tokens, in shuffled order; states start anew at each document; answers count (qa)".
std::string description(const SampleSettings& settings);

// With the markers of turns, for which the tokenizer is needed.
SampleSettings complete_settings(const DataOptions& options);

// The tokens of mask_user and mask_assistant: a text for the tokenizer, or a list of ids, [24281, 59].
TurnMarkers turn_markers(const DataOptions& options, const Tokenizer& tokenizer);

// Of options.tokenizer, or default_tokenizer().
std::shared_ptr<const Tokenizer> data_tokenizer(const DataOptions& options);

}  // namespace rk
