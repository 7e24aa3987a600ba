// The instruction sets that kernels are compiled for, and the one in use.
//
// The choice is made once, at first use: the widest set that the CPU has, or the one named by the
// environment variable LABELQUORUM_INSTRUCTION_SET ("baseline", "avx2", "avx512", "avx512_bf16" or
// "amx"). Each set includes the ones before it. "avx512_bf16" also stands for products of bytes
// (AVX512_VNNI), which all processors with AVX512_BF16 have.
#pragma once

#include <string>
#include <vector>

namespace labelquorum {

enum class InstructionSet { baseline, avx2, avx512, avx512_bf16, amx };

// The set in use. Throws std::invalid_argument if the environment variable names a set that is
// unknown, not compiled in, or not supported by this CPU.
InstructionSet instruction_set();

std::string name(InstructionSet set);

// The names of the sets compiled in, narrowest first.
std::vector<std::string> compiled_instruction_sets();

}  // namespace labelquorum
