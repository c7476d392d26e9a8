// Conversion between element types, block by block.
#pragma once
#include <cstdint>

#include "base/dtype.h"

namespace rk {

// Converts n elements. Floats round to nearest even, once; integers and bool become the nearest float. An integer that does not
// fit the target, or a float that is asked to become an integer and is none, stops the conversion: its index is returned.
// n is returned when all went well.
int64_t convert_elements(DType from, const void* source, DType to, void* destination, int64_t n);

bool is_float(DType t);

}  // namespace rk
