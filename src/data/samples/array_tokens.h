// Tokens of plain arrays: .npy vectors, and rows of 16-bit numbers (golden data §5.1).
#pragma once
#include <cstdint>
#include <string>

#include "data/samples/token_data.h"

namespace rk {

// A vector of whole numbers (descr u1, i1, u2, i2, u4, i4, u8, i8 of either byte order) is one document. Objects (a pickle), other types,
// other ranks and shapes that the file does not hold are refused.
SharedTokens open_numpy_tokens(const std::string& path);

// Little-endian 16-bit numbers; each row_tokens of them are a document.
SharedTokens open_uint16_rows(const std::string& path, int64_t row_tokens);

}  // namespace rk
