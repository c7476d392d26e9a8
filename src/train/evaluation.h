// How well a model predicts text that it is given.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "data/batch_source.h"
#include "data/tokenizer.h"
#include "train/generator.h"
#include "train/loaded_model.h"
#include "train/validation.h"

namespace rk {

// Mean cross entropy of the targets of all samples 0 .. n_samples_per_pass() - 1. shape.micro is not used.
Validation::Result evaluate(LoadedModel& model, std::unique_ptr<BatchSource> source, const BatchShape& shape);

// What a model makes of `answer` behind `context`: both token ids, neither empty.
struct AnswerScore {
  double log_probability = 0;  // of the whole answer, in nats
  bool greedy = true;          // whether each of its tokens is the most probable one
};
AnswerScore score_answer(Generator& model, std::span<const int32_t> context, std::span<const int32_t> answer);

// LAMBADA as RWKV-LM scores it: the last word of a text, with the blank before it, behind the end-of-document id and everything before.
// A text without a blank is a TextError.
AnswerScore score_last_word(Generator& model, const Tokenizer& tokenizer, std::string_view text);

}  // namespace rk
