#include "data/samples/audit.h"

#include <algorithm>

#include "base/error.h"
#include "data/samples/content_hash.h"
#include "data/samples/opened.h"

namespace rk {
namespace {

constexpr int64_t named = 5;  // of each kind

// "3 (2, 17, 40)"; the first few of a kind.
class Named {
 public:
  void add(const std::string& one) {
    if (++n_ <= named) text_ += cat(n_ == 1 ? "" : ", ", one);
  }
  int64_t n() const { return n_; }
  std::string text() const { return n_ == 0 ? "0" : cat(n_, " (", text_, n_ > named ? ", ...)" : ")"); }

 private:
  int64_t n_ = 0;
  std::string text_;
};

// How often samples and targets come, of places that are `unit` tokens wide.
struct Usage {
  int64_t samples = 0, targets = 0, unused = 0;
  Named again;
};

class Uses {
 public:
  Uses(int64_t n_tokens, int64_t unit) : unit_(unit), seen_(static_cast<size_t>(n_tokens / unit + 2)), n_tokens_(n_tokens) {}

  // The targets of a row that begins at `offset`.
  void take(int64_t number, int64_t offset, const std::vector<float>& weights, Usage& usage) {
    ++usage.samples;
    int64_t again = -1;
    if (remainder_ < 0) remainder_ = offset % unit_;
    if (offset % unit_ != remainder_) again = offset;  // it overlaps its neighbours
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      ++usage.targets;
      const int64_t token = offset + static_cast<int64_t>(i) + 1;
      if (unit_ > 1 && i > 0) continue;  // windows lie side by side: the first target stands for all
      if (seen_[static_cast<size_t>(token / unit_)]) again = again < 0 ? token : again;
      seen_[static_cast<size_t>(token / unit_)] = true;
    }
    if (again >= 0) usage.again.add(cat("sample ", number, " at token ", again));
  }
  int64_t n_unused(const Usage& usage) const { return n_tokens_ - usage.targets; }

 private:
  int64_t unit_, remainder_ = -1;
  std::vector<bool> seen_;
  int64_t n_tokens_;
};

Usage usage_of(const BatchSource& source, int64_t first_number, int64_t n_tokens, int64_t unit, int64_t ctx_len) {
  const size_t T = static_cast<size_t>(ctx_len);
  std::vector<int32_t> tokens(T), targets(T);
  std::vector<float> weights(T);
  Usage usage;
  Uses uses(n_tokens, unit);
  for (int64_t i = 0; i < source.n_samples_per_pass(); ++i) {
    const int64_t number = first_number + i;
    const int64_t offset = source.sample(number, {.tokens = tokens, .targets = targets, .weights = weights, .resets = {}});
    uses.take(number, offset, weights, usage);
  }
  usage.unused = uses.n_unused(usage);
  return usage;
}

// Targets that a pass over documents has when each token of a document but its first is one.
int64_t targets_of_documents(const TokenData& data, int64_t most) {
  int64_t n = 0;
  for (int64_t d = 0; d < data.n_documents(); ++d) n += std::clamp<int64_t>(data.document_size(d) - 1, 0, most);
  return n;
}

struct Document {
  uint64_t hash;
  int64_t number;
};

// Sorted by hash.
std::vector<Document> hashes_of(const TokenData& data) {
  std::vector<Document> all;
  all.reserve(static_cast<size_t>(data.n_documents()));
  for (int64_t d = 0; d < data.n_documents(); ++d)
    if (data.document_size(d) > 0) all.push_back({document_hash(data, d), d});
  std::sort(all.begin(), all.end(),
            [](const Document& a, const Document& b) { return a.hash != b.hash ? a.hash < b.hash : a.number < b.number; });
  return all;
}

std::vector<Document> look_at_documents(const TokenData& data, int64_t ctx_len, const char* side, DataAudit& audit) {
  Named empty, tiny, over;
  int64_t longest = 0;
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    const int64_t size = data.document_size(d);
    longest = std::max(longest, size);
    if (size == 0) empty.add(std::to_string(d));
    if (size == 1) tiny.add(std::to_string(d));
    if (size > ctx_len + 1) over.add(cat(d, ": ", size, " tokens"));
  }
  std::vector<Document> hashes = hashes_of(data);
  Named equal;
  std::vector<Document> pairs;
  for (size_t i = 1, first = 0; i < hashes.size(); ++i) {
    if (hashes[i].hash != hashes[first].hash) {
      first = i;
    } else {
      pairs.push_back({static_cast<uint64_t>(hashes[first].number), hashes[i].number});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Document& a, const Document& b) { return a.number < b.number; });
  for (const Document& pair : pairs) equal.add(cat(pair.number, " is ", pair.hash));
  audit.lines.push_back(
      cat(side, ": ", data.n_documents(), " documents, ", data.n_tokens(), " tokens, the longest document has ", longest));
  audit.lines.push_back(cat(side, ": documents without a token: ", empty.text(), "; of one token: ", tiny.text()));
  audit.lines.push_back(cat(side, ": documents of more than ", ctx_len + 1, " tokens: ", over.text()));
  audit.lines.push_back(cat(side, ": documents that equal an earlier one: ", equal.text()));
  return hashes;
}

void compare_sides(const std::vector<Document>& training, std::vector<Document> validation, DataAudit& audit) {
  std::sort(validation.begin(), validation.end(), [](const Document& a, const Document& b) { return a.number < b.number; });
  Named shared;
  for (const Document& document : validation) {
    const auto at =
        std::lower_bound(training.begin(), training.end(), document.hash, [](const Document& d, uint64_t hash) { return d.hash < hash; });
    if (at != training.end() && at->hash == document.hash) shared.add(cat("validation ", document.number, " is training ", at->number));
  }
  audit.lines.push_back(cat("documents in both training and validation: ", shared.n()));
  if (shared.n() > 0) audit.breaches.push_back(cat("documents of the validation data are training data, too: ", shared.text()));
}

// One of the sources of the training data.
void look_at_pass(const OpenedData& data, size_t s, const SampleSettings& settings, const std::string& side, DataAudit& audit) {
  const TokenData& tokens = *data.sources[s];
  const auto source = training_source(data.sources[s], settings, settings.rules, s);
  const bool windows = settings.dataload == Dataload::get;
  const int64_t ctx_len = settings.rules.ctx_len;
  const bool random = settings.order.kind == OrderRequest::Kind::random, whole = !settings.rules.doc_reset && !tokens.has_marks();
  const Usage usage = usage_of(*source, 1, tokens.n_tokens(), windows && whole && !random ? ctx_len : 1, ctx_len);
  audit.lines.push_back(
      cat(side, ": a pass has ", usage.samples, " samples; ", usage.targets, " tokens are targets, ", usage.unused, " are not"));
  if (random) {
    audit.lines.push_back(cat(side, ": order random promises nothing; samples that repeat tokens of others: ", usage.again.text()));
    return;
  }
  if (usage.again.n() > 0) audit.breaches.push_back(cat(side, ": tokens are targets more than once in a pass: ", usage.again.text()));
  if (windows && whole && usage.targets != usage.samples * ctx_len)
    audit.breaches.push_back(cat(side, ": ", usage.targets, " targets are not the ", ctx_len, " of each of ", usage.samples, " windows"));
  if (windows || tokens.has_marks() || (settings.dataload == Dataload::pack && !settings.rules.doc_reset)) return;
  const int64_t due = targets_of_documents(tokens, settings.dataload == Dataload::pack ? tokens.n_tokens() : ctx_len);
  if (usage.targets != due) audit.breaches.push_back(cat(side, ": ", usage.targets, " tokens are targets in a pass instead of ", due));
}

void look_at_validation(const SharedTokens& data, const SampleSettings& settings, DataAudit& audit) {
  const auto source = validation_source(data, settings, settings.rules);
  const Usage usage = usage_of(*source, 0, data->n_tokens(), 1, settings.rules.ctx_len);
  audit.lines.push_back(cat("validation: ", usage.samples, " samples; ", usage.targets, " tokens are targets, ", usage.unused, " are not"));
  if (usage.again.n() > 0) audit.breaches.push_back(cat("validation: tokens are targets more than once: ", usage.again.text()));
  if (data->has_marks() || (settings.rules.doc_reset && settings.dataload == Dataload::get)) return;
  if (settings.dataload == Dataload::pack && !settings.rules.doc_reset) return;
  const int64_t due = settings.dataload == Dataload::get ? data->n_tokens() - 1 : targets_of_documents(*data, data->n_tokens());
  if (usage.targets != due) audit.breaches.push_back(cat("validation: ", usage.targets, " tokens are targets instead of ", due));
}

}  // namespace

DataAudit audit_data(const DataOptions& options, const std::string& folder) {
  if (options.my_pile_version == 2 || options.my_qa_mask > 0)
    fail("rookery data audit does not go with --my_pile_version 2 and --my_qa_mask, which draw windows that overlap");
  if (options.my_random_steps > 0) fail("rookery data audit does not go with --my_random_steps: random windows overlap others");
  SampleSettings settings = settings_of(options);
  settings.rules.turns = RowRules::Turns::all;
  settings.rules.script_mask = false;
  const OpenedData data = open_files(options, folder);
  DataAudit audit;
  std::vector<Document> training;
  for (size_t s = 0; s < data.sources.size(); ++s) {
    const std::string side = data.sources.size() == 1 ? "training" : cat("training, ", data.sources[s]->name());
    look_at_pass(data, s, settings, side, audit);
    const std::vector<Document> hashes = look_at_documents(*data.sources[s], options.ctx_len, side.c_str(), audit);
    const auto middle = static_cast<int64_t>(training.size());
    training.insert(training.end(), hashes.begin(), hashes.end());
    std::inplace_merge(training.begin(), training.begin() + middle, training.end(),
                       [](const Document& a, const Document& b) { return a.hash < b.hash; });
  }
  if (!data.validation) return audit;
  look_at_validation(data.validation, settings, audit);
  compare_sides(training, look_at_documents(*data.validation, options.ctx_len, "validation", audit), audit);
  return audit;
}

}  // namespace rk
