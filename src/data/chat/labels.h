// From the texts of a conversation to tokens, and which of them count.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "data/chat/template.h"
#include "data/sample_encoder.h"
#include "data/tokenizer.h"

namespace rk {

struct LabelRules {
  const Tokenizer& tokenizer;
  int64_t max_tokens = 0;              // 0 = any number
  std::optional<int32_t> begin_token;  // in front of all
  bool count_all = false;              // questions count, too
};

// `texts` as dialog_texts() returns them. Each is encoded alone, so that a model which is asked sees the tokens it was trained on, and no
// token lies on both sides of a border. Answers count, and what ends them.
// With max_tokens MedicalGPT's rule shortens: of a turn that has `n` tokens, `s` of them the question's, the question keeps
// int(max_tokens * (s / n)) and the answer one less than its share; turns that do not fit behind those before them are lost, with all
// that follow. A turn without any token is a TextError (offset 0). False: nothing counts.
bool encode_dialog(const Template& form, std::span<const std::string> texts, const LabelRules& rules, EncodedSample& out);

// RWKV-PEFT's rule for one question: all texts are encoded as one, and as many tokens do not count as the question's text has alone.
bool encode_question(const Template& form, std::span<const std::string> texts, const LabelRules& rules, EncodedSample& out);

}  // namespace rk
