#include "train/evaluation.h"

#include <algorithm>
#include <cmath>

#include "comm/watchdog.h"
#include "data/text_error.h"
#include "train/check_samples.h"

namespace rk {
namespace {

double log_sum_exp(std::span<const double> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double x : logits) sum += std::exp(x - largest);
  return largest + std::log(sum);
}

}  // namespace

Validation::Result evaluate(LoadedModel& model, std::unique_ptr<BatchSource> source, const BatchShape& shape) {
  check_samples(model.model(), shape);
  Validation validation(std::move(source), shape, 0, 1);
  validation.allocate(model.device());
  const auto n_units = static_cast<int>(model.model().units.size());
  StepIo io;
  io.micro = validation.micro();
  model.make_room(validation.plan(n_units), io);
  Watchdog never_ends({});
  return validation.run(model.exec(), model.runner(), n_units, never_ends, 0, model.comm());
}

AnswerScore score_answer(Generator& model, std::span<const int32_t> context, std::span<const int32_t> answer) {
  require(!context.empty() && !answer.empty(), "an answer stands behind something");
  AnswerScore score;
  model.forget();
  std::span<const double> logits = model.feed(context);
  for (size_t i = 0; i < answer.size(); ++i) {
    if (i > 0) logits = model.feed(answer.subspan(i - 1, 1));
    const auto id = static_cast<size_t>(answer[i]);
    if (answer[i] < 0 || id >= logits.size())
      fail(cat("the token ", answer[i], " is outside the model's vocabulary of ", logits.size(), " ids"));
    score.log_probability += logits[id] - log_sum_exp(logits);
    score.greedy = score.greedy && std::max_element(logits.begin(), logits.end()) - logits.begin() == answer[i];
  }
  return score;
}

AnswerScore score_last_word(Generator& model, const Tokenizer& tokenizer, std::string_view text) {
  const size_t blank = text.rfind(' ');
  if (blank == std::string_view::npos || blank + 1 == text.size()) throw TextError("the text has no last word behind a blank", text.size());
  std::vector<int32_t> context{tokenizer.end_of_document()}, answer;
  tokenizer.encode(text.substr(0, blank), context);
  tokenizer.encode(text.substr(blank), answer);
  return score_answer(model, context, answer);
}

}  // namespace rk
