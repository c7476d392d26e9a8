// --mask_id: what opens a user's and an assistant's turn.
#pragma once
#include <string>

namespace rk {

// {"mask0": A, "mask1": B} as JSON, where each is a text or a list of token ids; the same as a shell leaves it without quotes
// ({mask0:A,mask1:B}, or mask0:A mask1:B); or two words A B. In the last three \n, \t and \\ stand for characters. "": the defaults. False:
// none of these. Lists become "[1, 2]".
bool read_mask_id(const std::string& text, std::string& user, std::string& assistant);

// Text that read_mask_id() takes.
std::string show_mask_id(const std::string& user, const std::string& assistant);

}  // namespace rk
