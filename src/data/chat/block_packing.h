// Documents to blocks of equal length, as MedicalGPT packs them for pre-training.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rk {

// Documents one behind another, each ended by `end_id` unless it ends so already, cut into blocks of `block_size` tokens. What is left at
// the end is dropped, unless it is all there is.
std::vector<std::vector<int32_t>> pack_blocks(std::span<const std::vector<int32_t>> documents, int64_t block_size, int32_t end_id);

}  // namespace rk
