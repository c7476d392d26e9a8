// What this rank tells the others of itself: its program, options, data and libraries.
#pragma once
#include <cstdint>
#include <string>

#include "comm/roll_call.h"
#include "train/run_config.h"

namespace rk {

// "25600000 bytes, hash 9f86d081884c7d65" of a file: of all its bytes up to 128 MiB; of a longer one, its first and last MiB and 64 pieces
// of 64 KiB between them. The time of its last change does not count. "absent" where it cannot be opened.
std::string file_identity(const std::string& path);

// The resolved options of a run as lines "key = value", without where a value comes from and without --threads, which may differ.
std::string lines_of_options(const RunConfig& config);

// gpu: the index of the GPU that this rank takes; -1: the CPU.
RankCard make_rank_card(const RunConfig& config, int gpu);

}  // namespace rk
