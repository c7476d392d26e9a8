// Steps in a row whose loss or gradient is not finite: what is known of them, and when there are too many.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/batch_source.h"
#include "nn/unit.h"
#include "shard/shards.h"
#include "train/trainer.h"

namespace rk {

inline constexpr char bad_steps_file[] = "bad-steps.json";  // in proj_dir, of the run that they have ended

class BadSteps {
 public:
  // most: so many in a row are too many; 0: any number is borne.
  explicit BadSteps(int64_t most = 0) : most_(most) {}

  // Takes note of a step. With fp16 (`scaled`) a skipped step is no bad one while its loss scale can still fall.
  void note(const StepReport& step, bool scaled);
  bool any() const { return !steps_.empty(); }
  bool too_many() const { return most_ > 0 && static_cast<int64_t>(steps_.size()) >= most_; }
  int64_t n() const { return static_cast<int64_t>(steps_.size()); }
  int64_t first() const { return steps_.front().step; }
  int64_t last() const { return steps_.back().step; }

  // Writes a JSON object: the steps with their losses, norms and samples, and `culprit` (may be empty). Whether the disk took it.
  bool write_report(const std::string& path, const BatchSource& source, int64_t ctx_len, const std::string& culprit) const;

 private:
  int64_t most_;
  std::vector<StepReport> steps_;
};

// Token offset of each of a step's samples, in order; at most `most` of them.
std::vector<int64_t> token_offsets(const StepReport& step, const BatchSource& source, int64_t ctx_len, int64_t most);
// "samples 25-48 (token offsets 1024, 3072, ...)".
std::string samples_text(const StepReport& step, const BatchSource& source, int64_t ctx_len);

// The first parameter, in file order, that has a number that is none: "weights of blocks.3.att.key.weight, element 17", else the same of
// gradients as the last step left them. Empty: all are finite. Reads everything through the host. Collective.
std::string first_not_finite(const Exec& ex, Model& model, Shards& shards, Comm& comm);

}  // namespace rk
