#include "data/chat/labels.h"

#include <algorithm>

#include "base/error.h"
#include "data/text_error.h"

namespace rk {
namespace {

using Ids = std::vector<int32_t>;

// Half of a window's tokens for half of the turn's, rounded down as Python rounds.
int64_t share(int64_t max_tokens, size_t part, size_t whole) {
  return static_cast<int64_t>(static_cast<double>(max_tokens) * (static_cast<double>(part) / static_cast<double>(whole)));
}

// The reference's slices: a limit below zero takes that many tokens off the end.
void shorten(Ids& ids, int64_t limit) {
  const auto size = static_cast<int64_t>(ids.size());
  if (size > limit) ids.resize(static_cast<size_t>(limit < 0 ? std::max<int64_t>(0, size + limit) : limit));
}

void shorten_turn(Ids& question, Ids& answer, int64_t max_tokens) {
  const size_t n = question.size() + answer.size();
  const int64_t for_question = share(max_tokens, question.size(), n), for_answer = share(max_tokens, answer.size(), n) - 1;
  shorten(question, for_question);
  shorten(answer, for_answer);
}

void append(EncodedSample& out, const Ids& ids, bool counts) {
  out.tokens.insert(out.tokens.end(), ids.begin(), ids.end());
  out.counted.resize(out.tokens.size(), counts);
}

bool any_counts(const EncodedSample& sample) { return std::ranges::find(sample.counted, 1) != sample.counted.end(); }

}  // namespace

bool encode_dialog(const Template& form, std::span<const std::string> texts, const LabelRules& rules, EncodedSample& out) {
  out.tokens.clear(), out.counted.clear();
  const int32_t end = rules.tokenizer.end_of_document();
  size_t begun = 0;  // bytes of this question text that the answer before it ended with
  for (size_t k = 0; k + 1 < texts.size(); k += 2) {
    const bool last = k + 2 >= texts.size();
    Ids question, answer;
    if (k == 0 && rules.begin_token) question.push_back(*rules.begin_token);
    rules.tokenizer.encode(std::string_view(texts[k]).substr(begun), question);
    begun = form.end == AnswerEnd::stop_text && !last && texts[k + 2].starts_with(form.stop) ? form.stop.size() : 0;
    const bool ends_by_text = form.end == AnswerEnd::text || begun > 0;
    rules.tokenizer.encode(ends_by_text ? texts[k + 1] + form.stop : texts[k + 1], answer);
    if (question.empty() && answer.empty()) throw TextError("a turn has neither a question nor an answer", 0);
    if (rules.max_tokens > 0) shorten_turn(question, answer, rules.max_tokens);
    if (!question.empty() && question.front() == end) question.erase(question.begin());
    if (!answer.empty() && answer.back() == end) answer.pop_back();
    if (!ends_by_text) answer.push_back(end);
    const size_t used = out.tokens.size() + question.size() + answer.size();
    if (rules.max_tokens > 0 && used > static_cast<size_t>(rules.max_tokens)) break;
    append(out, question, rules.count_all);
    append(out, answer, true);
  }
  return any_counts(out);
}

bool encode_question(const Template& form, std::span<const std::string> texts, const LabelRules& rules, EncodedSample& out) {
  require(texts.size() == 2, "one question and its answer");
  out.tokens.clear(), out.counted.clear();
  Ids question;
  rules.tokenizer.encode(texts[0], question);
  rules.tokenizer.encode(cat(texts[0], texts[1], form.stop), out.tokens);
  out.counted.resize(out.tokens.size(), 1);
  if (!rules.count_all) std::fill_n(out.counted.begin(), std::min(question.size(), out.tokens.size()), 0);
  return any_counts(out);
}

}  // namespace rk
