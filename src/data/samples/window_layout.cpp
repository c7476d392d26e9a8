#include "base/error.h"
#include "data/samples/row.h"

namespace rk {
namespace {

class WindowLayout final : public Layout {
 public:
  WindowLayout(SharedTokens data, const RowRules& rules) : data_(std::move(data)), rules_(rules) {
    by_zeros_ = data_->is_one_document();
    if (rules_.doc_reset || rules_.script.cut) data_->document_begin(0);  // documents that cannot be told apart are refused here
  }

  int64_t n_rows() const override { return (data_->n_tokens() - 1 + rules_.ctx_len - 1) / rules_.ctx_len; }

  int64_t fill(int64_t offset, const SampleRow& row) const override {
    const int64_t n = std::min(rules_.ctx_len + 1, data_->n_tokens() - offset);
    require(offset >= 0 && n > 1, "a window begins inside the data, and not with its last token");
    read_row(*data_, offset, n, rules_, row);
    if (!rules_.doc_reset) {
      weigh_run(rules_, {.n_real = n, .n_visible = n, .context = {}}, row);
    } else {
      split(offset, n, row);
    }
    apply_marks(*data_, offset, n, row);
    if (rules_.script_mask) mask_script(rules_.script, rules_.script.cut ? document_left(offset) : 0, row.weights);
    if (rules_.doc_reset || rules_.turns != RowRules::Turns::all || data_->has_marks() || rules_.script_mask) drop_targets(row);
    if (n <= rules_.ctx_len) row.tokens[static_cast<size_t>(n - 1)] = 0;  // a target, and nothing behind it
    return offset;
  }

 private:
  int64_t document_left(int64_t offset) const {
    const int64_t d = data_->document_of(offset);
    return (d < data_->n_documents() ? data_->document_begin(d + 1) : data_->n_tokens()) - offset;
  }

  // Each document of the window is a run.
  void split(int64_t offset, int64_t n, const SampleRow& row) const {
    int64_t place = 0;
    const auto end_run = [&](int64_t end) {
      weigh_run(rules_, {.place = place, .n_real = end - place, .n_visible = end - place, .context = {}}, row);
      place = end;
      if (end == n) return;
      row.weights[static_cast<size_t>(end - 1)] = 0;  // the first token of a document follows from nothing
      if (end < std::ssize(row.resets)) row.resets[static_cast<size_t>(end)] = 1;
    };
    const auto end_run_at_zeros = [&](int64_t end) {
      for (int64_t i = place; by_zeros_ && i + 1 < end; ++i)
        if (row.tokens[static_cast<size_t>(i)] == 0) end_run(i + 1);
    };
    BorderWalk<32> walk(*data_, data_->document_of(offset));
    if (!row.resets.empty() && walk.begin() == offset) row.resets[0] = 1;
    for (; !walk.done() && walk.end() < offset + n; walk.advance()) {
      end_run_at_zeros(walk.end() - offset);
      if (walk.end() - offset > place) end_run(walk.end() - offset);
    }
    end_run_at_zeros(n);
    end_run(n);
  }

  SharedTokens data_;
  RowRules rules_;
  bool by_zeros_ = false;
};

class DocumentLayout final : public Layout {
 public:
  DocumentLayout(SharedTokens data, const RowRules& rules, bool run_on) : data_(std::move(data)), rules_(rules), run_on_(run_on) {
    data_->document_begin(0);
  }

  int64_t n_rows() const override { return data_->n_documents(); }

  int64_t fill(int64_t d, const SampleRow& row) const override {
    const int64_t begin = data_->document_begin(d), size = data_->document_begin(d + 1) - begin, n = std::min(size, rules_.ctx_len + 1);
    read_row(*data_, begin, n, rules_, row);
    if (run_on_) run_on(begin, n, row);
    weigh_run(rules_, {.n_real = n, .n_visible = run_on_ ? rules_.ctx_len + 1 : n, .context = {}}, row);
    apply_marks(*data_, begin, n, row);
    if (rules_.doc_reset && !row.resets.empty() && n > 0) row.resets[0] = 1;
    if (run_on_ || rules_.turns != RowRules::Turns::all || data_->has_marks()) drop_targets(row);
    return begin;
  }

 private:
  // Fills the row behind the document's n tokens: targets without weight.
  void run_on(int64_t begin, int64_t n, const SampleRow& row) const {
    const int64_t length = rules_.ctx_len + 1;
    const int64_t next = begin + length <= data_->n_tokens() ? begin + n : 0;
    for (int64_t done = n; done < length;) {
      // Data shorter than a row begins again as often as is needed.
      const int64_t from = done == n ? next : 0;
      const int64_t part = std::min(length - done, data_->n_tokens() - from);
      const int64_t places = std::min(part, rules_.ctx_len - done);
      if (places > 0) data_->read(from, row.tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(places)), rules_.vocab);
      if (places < part) data_->read(from + part - 1, row.targets.last(1), rules_.vocab);
      done += part;
    }
    for (int64_t i = std::max<int64_t>(n - 1, 0); i + 1 < rules_.ctx_len; ++i)
      row.targets[static_cast<size_t>(i)] = row.tokens[static_cast<size_t>(i + 1)];
  }

  SharedTokens data_;
  RowRules rules_;
  bool run_on_;
};

}  // namespace

std::unique_ptr<Layout> make_window_layout(SharedTokens data, const RowRules& rules) {
  return std::make_unique<WindowLayout>(std::move(data), rules);
}

std::unique_ptr<Layout> make_document_layout(SharedTokens data, const RowRules& rules, bool run_on) {
  return std::make_unique<DocumentLayout>(std::move(data), rules, run_on);
}

}  // namespace rk
