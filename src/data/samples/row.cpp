#include "data/samples/row.h"

#include "base/error.h"

namespace rk {
namespace {

constexpr int64_t farthest = 1 << 20;  // tokens of a document that are searched for a turn on either side of a piece

}  // namespace

void read_row(const TokenData& data, int64_t offset, int64_t n, const RowRules& rules, const SampleRow& row) {
  const size_t n_places = static_cast<size_t>(std::min(n, rules.ctx_len)), n_targets = static_cast<size_t>(std::max<int64_t>(n - 1, 0));
  const auto tokens = row.tokens, targets = row.targets;
  if (n > 0) data.read(offset, tokens.first(n_places), rules.vocab);
  if (n_targets > 0) {
    std::copy_n(tokens.begin() + 1, n_places - 1, targets.begin());
    if (n_targets == n_places) data.read(offset + n - 1, targets.subspan(n_targets - 1, 1), rules.vocab);
  }
  std::fill(tokens.begin() + static_cast<int64_t>(n_places), tokens.end(), 0);
  std::fill(targets.begin() + static_cast<int64_t>(n_targets), targets.end(), -100);
  std::fill_n(row.weights.begin(), n_targets, 1.0f);
  std::fill(row.weights.begin() + static_cast<int64_t>(n_targets), row.weights.end(), 0.0f);
  std::fill(row.resets.begin(), row.resets.end(), uint8_t{0});
}

void weigh_run(const RowRules& rules, const RowRun& run, const SampleRow& row) {
  if (rules.turns == RowRules::Turns::all || run.n_visible < 1) return;
  const size_t begin = static_cast<size_t>(run.place), n = static_cast<size_t>(run.n_visible);
  const bool beyond = begin + n > row.tokens.size();  // the last token is a target alone
  const auto head = row.tokens.subspan(begin, n - (beyond ? 1 : 0));
  const RunTokens tokens = beyond ? RunTokens(head, row.targets.back()) : RunTokens(head);
  const auto weights = row.weights.subspan(begin, std::min(n - 1, row.weights.size() - begin));
  if (rules.turns == RowRules::Turns::qa) {
    mask_qa(tokens, run.n_real, rules.markers, run.context, weights);
  } else {
    mask_se(tokens, run.n_real, rules.markers, run.context, weights);
  }
}

void PieceWeigher::weigh(DocumentSpan document, RowRun run, int64_t row_begin, const SampleRow& row) const {
  if (rules_.turns == RowRules::Turns::all) return;
  const int64_t begin = row_begin + run.place, end = begin + run.n_real;
  run.context.ends_document = end == document.end;
  if (begin == document.begin && end == document.end) return weigh_run(rules_, run, row);
  const int64_t from = std::max(document.begin, begin - farthest), to = std::min(document.end, end + farthest);
  run.context.answering = last_turn_in(from, begin, document.end, rules_.markers) == 1;
  run.context.answers_elsewhere = true;
  weigh_run(rules_, run, row);
  const auto weights = row.weights.subspan(static_cast<size_t>(run.place), static_cast<size_t>(run.n_real - 1));
  if (std::any_of(weights.begin(), weights.end(), [](float w) { return w != 0; })) return;
  run.context.answers_elsewhere = last_turn_in(from, to, document.end, answers_) >= 0;
  weigh_run(rules_, run, row);
}

// What the last marker of `markers` that begins in [first, end) opens, or -1; it may reach beyond, but not beyond the document.
int PieceWeigher::last_turn_in(int64_t first, int64_t end, int64_t document_end, const TurnMarkers& markers) const {
  std::array<int32_t, 1024 + longest_marker> tokens;
  for (int64_t to = end; to > first;) {
    const int64_t from = std::max(first, to - 1024), read_to = std::min(document_end, to + longest_marker);
    const auto part = std::span(tokens).first(static_cast<size_t>(read_to - from));
    data_.read(from, part, rules_.vocab);
    if (const int turn = last_turn(part, to - from, markers); turn >= 0) return turn;
    to = from;
  }
  return -1;
}

void apply_marks(const TokenData& data, int64_t offset, int64_t n, const SampleRow& row) {
  if (!data.has_marks()) return;
  std::array<uint8_t, 1024> marks;
  for (int64_t at = 1; at < n; at += std::ssize(marks)) {
    const auto part = std::span(marks).first(static_cast<size_t>(std::min<int64_t>(std::ssize(marks), n - at)));
    data.read_marks(offset + at, part);
    float* weights = row.weights.data() + (at - 1);
    for (size_t i = 0; i < part.size(); ++i) weights[i] = part[i] != 0 ? weights[i] : 0.0f;
  }
}

void drop_targets(const SampleRow& row) {
  int32_t* targets = row.targets.data();
  const float* weights = row.weights.data();
  for (size_t i = 0; i < row.targets.size(); ++i) targets[i] = weights[i] != 0 ? targets[i] : -100;
}

}  // namespace rk
