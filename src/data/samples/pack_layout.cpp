#include <vector>

#include "base/error.h"
#include "data/samples/row.h"

namespace rk {
namespace {

constexpr int64_t rows_an_entry = 16;  // rows between two of which the place is kept
constexpr int64_t farthest = 1 << 20;  // tokens of a document that are searched for a turn around a piece

// Where a row begins: a document, and the token in it.
struct RowBegin {
  int64_t document, token;
};

class PackLayout final : public Layout {
 public:
  PackLayout(SharedTokens data, const RowRules& rules, bool alone) : data_(std::move(data)), rules_(rules), alone_(alone) {
    auto walk = std::make_unique<BorderWalk<4096>>(*data_, 0);
    int64_t token = 0;
    while (skip_empty(*walk, token)) {
      if (n_rows_++ % rows_an_entry == 0) entries_.push_back({walk->document(), token});
      take_row(*walk, token);
    }
  }

  int64_t n_rows() const override { return n_rows_; }

  int64_t fill(int64_t index, const SampleRow& row) const override {
    require(index >= 0 && index < n_rows_, "rows are numbered 0 .. n_rows() - 1");
    const RowBegin entry = entries_[static_cast<size_t>(index / rows_an_entry)];
    BorderWalk<32> walk(*data_, entry.document);
    int64_t token = entry.token;
    for (int64_t i = index % rows_an_entry; i > 0; --i) {
      take_row(walk, token);
      skip_empty(walk, token);
    }
    const RowBegin begin{walk.document(), token};
    const int64_t end = take_row(walk, token);
    fill_row(begin, end, row);
    return begin.token;
  }

 private:
  // To the next token that has one behind it in its document; false: there is none.
  template <class Walk>
  static bool skip_empty(Walk& walk, int64_t& token) {
    while (!walk.done() && walk.end() - token < 2) {
      walk.advance();
      if (!walk.done()) token = walk.begin();
    }
    return !walk.done();
  }

  // Moves behind the row that begins here; returns the end of its tokens, last target included.
  template <class Walk>
  int64_t take_row(Walk& walk, int64_t& token) const {
    int64_t room = rules_.ctx_len, end = token;
    for (bool empty = true; !walk.done(); empty = false) {
      const int64_t left = walk.end() - token;
      if (left - 1 > room) {  // does not fit
        if (!empty) break;
        end = token + rules_.ctx_len + 1;
        token = end - 1;
        return end;
      }
      end = walk.end();
      room -= left;
      walk.advance();
      if (!walk.done()) token = walk.begin();
      if (room <= 0 || alone_) break;
    }
    return end;
  }

  void fill_row(RowBegin begin, int64_t end, const SampleRow& row) const {
    const int64_t n = end - begin.token;
    read_row(*data_, begin.token, n, rules_, row);
    BorderWalk<32> walk(*data_, begin.document);
    for (int64_t place = 0; place < n; walk.advance()) {
      const int64_t run_end = std::min(walk.end() - begin.token, n);
      if (run_end == place) continue;  // an empty document
      if (rules_.doc_reset && place < std::ssize(row.resets)) row.resets[static_cast<size_t>(place)] = 1;
      weigh(walk.begin(), walk.end(), {.place = place, .n_real = run_end - place, .n_visible = run_end - place, .context = {}}, begin.token,
            row);
      if ((rules_.doc_reset || rules_.turns != RowRules::Turns::all) && run_end < n) row.weights[static_cast<size_t>(run_end - 1)] = 0;
      place = run_end;
    }
    apply_marks(*data_, begin.token, n, row);
    if (rules_.doc_reset || rules_.turns != RowRules::Turns::all || data_->has_marks()) drop_targets(row);
  }

  void weigh(int64_t document_begin, int64_t document_end, RowRun run, int64_t row_begin, const SampleRow& row) const {
    if (rules_.turns == RowRules::Turns::all) return;
    const int64_t begin = row_begin + run.place, end = begin + run.n_real;
    run.context.ends_document = end == document_end;
    if (begin == document_begin && end == document_end) return weigh_run(rules_, run, row);
    const int64_t from = std::max(document_begin, begin - farthest), to = std::min(document_end, end + farthest);
    run.context.answering = last_turn_in(from, begin, document_end, rules_.markers) == 1;
    run.context.answers_elsewhere = true;
    weigh_run(rules_, run, row);
    const auto weights = row.weights.subspan(static_cast<size_t>(run.place), static_cast<size_t>(run.n_real - 1));
    if (std::any_of(weights.begin(), weights.end(), [](float w) { return w != 0; })) return;
    run.context.answers_elsewhere = last_turn_in(from, to, document_end, answers_) >= 0;
    weigh_run(rules_, run, row);
  }

  // What the last marker of `markers` that begins in [first, end) opens, or -1; it may reach beyond, but not beyond the document.
  int last_turn_in(int64_t first, int64_t end, int64_t document_end, const TurnMarkers& markers) const {
    std::array<int32_t, 1024 + longest_marker> tokens;
    for (int64_t to = end; to > first;) {
      const int64_t from = std::max(first, to - 1024), read_to = std::min(document_end, to + longest_marker);
      const auto part = std::span(tokens).first(static_cast<size_t>(read_to - from));
      data_->read(from, part, rules_.vocab);
      if (const int turn = last_turn(part, to - from, markers); turn >= 0) return turn;
      to = from;
    }
    return -1;
  }

  SharedTokens data_;
  RowRules rules_;
  TurnMarkers answers_{.user = rules_.markers.assistant, .assistant = rules_.markers.assistant};  // to look for answers alone
  bool alone_;
  int64_t n_rows_ = 0;
  std::vector<RowBegin> entries_;  // of rows 0, 16, 32, ...
};

}  // namespace

std::unique_ptr<Layout> make_pack_layout(SharedTokens data, const RowRules& rules, bool alone) {
  return std::make_unique<PackLayout>(std::move(data), rules, alone);
}

}  // namespace rk
