#include "train/step_dropout.h"

#include "base/rng.h"
#include "train/fresh_values.h"

namespace rk {

StepDropout step_dropout(const RunConfig& config, const StepBatch& batch, int rank, int64_t done) {
  const auto words = philox(seed_of(config), stream_of("dropout"), static_cast<uint64_t>(done));
  return {.p = config.dropout,
          .seed = uint64_t{words[0]} << 32 | words[1],
          .first = batch.number(rank, 0),
          .step = batch.world,
          .n_micro = batch.n_micro()};
}

}  // namespace rk
