"""The contract between a plan and the kernels: one struct for a convolution, one table of functions for a variant."""

cdef enum:                                # activations of more than a comparison: activate.pxi
    SIGMOID = 4, SILU, HARD_SIGMOID, HARD_SILU, TANH, HARD_TANH, ELU, SELU, EXPONENTIAL, SOFTPLUS, LOG_SIGMOID, SOFTSIGN
    MISH, GELU

cdef struct Conv:
    # Shapes. 1-D is height 1. `channels` counts one pixel's input, `filters` one pixel's output, both over all groups.
    Py_ssize_t batch, height, width, channels
    Py_ssize_t out_height, out_width, filters, groups
    Py_ssize_t window_h, window_w, stride_h, stride_w, dilation_h, dilation_w
    Py_ssize_t top, left                  # padding before the first row and column
    Py_ssize_t multiplier                 # depthwise: outputs for each input channel; dense: 1
    # Strides in elements. Output pixels of one image are equally spaced (yp) in row order.
    Py_ssize_t xn, xh, xw, xc, yn, yp, yf
    # The schedule (schedule.py): how work is cut up; only `dots`, `columnwise` and `winograd` change a bit of a result.
    Py_ssize_t planar                     # vectors are of pixels, which lie side by side in planes
    Py_ssize_t walk                       # planar: vectors go down their planes; else tiles
    Py_ssize_t vectors                    # of filters (planar: of pixels; dots: filters) in a register tile
    Py_ssize_t filter_unit                # dense: filters of a block are filled up to so many: a vector, half a one; 1
    Py_ssize_t blocks                     # filter blocks of one group (dense), channel vectors or (planar) filters
    Py_ssize_t block_filters              # planar, dense: of one block
    Py_ssize_t dots                       # dense: vectors are of channels, those of a tile are its filters'
    Py_ssize_t direct                     # dense: results are written to their place, else through scratch
    Py_ssize_t spread                     # dense: channels (and filters) of each group that shares a vector; else 0
    Py_ssize_t short                      # dense: weights stay in registers, where a block has tiles for that
    Py_ssize_t winograd                   # dense: components of a tile, for its windows' taps: 16, of one row 4; else 0
    Py_ssize_t tiles                      # of these tiles, worked on together
    Py_ssize_t together                   # dense: filter blocks whose weights fit a cache, for a tile's pixels in turn
    Py_ssize_t leave_out                  # taps that meet only padding: 0 no, 1 of tiles, 2 (dense) tap after tap
    Py_ssize_t phases                     # depthwise, rows as one run of elements: patterns of weights; else 0
    Py_ssize_t columnwise                 # depthwise: sums go along their rows and add a window's columns in turn
    Py_ssize_t pieces                     # of these: of so many threads at most, go along a few pixels of all channels
    Py_ssize_t siblings                   # depthwise: filters of a channel whose sums grow side by side
    Py_ssize_t few_taps                   # depthwise: windows of so few that share next to nothing
    Py_ssize_t leads                      # depthwise: vectors begin earlier where inputs are off a line; then how much
    Py_ssize_t block_pixels               # output pixels worked on together
    Py_ssize_t block_shape                # 0 a piece of one row, 1 whole rows
    Py_ssize_t split_rows, split_columns  # loaded rows (columns) are kept tap by tap: wide strides and dilations
    Py_ssize_t load                       # always load input to scratch; else only where padding is touched
    Py_ssize_t collides                   # load, too, where results lie at the same place of a page as the input
    Py_ssize_t loaded_channels            # channels of a loaded pixel
    Py_ssize_t fetch_ahead                # what comes next, 0 not, 1 of inputs, 2 (depthwise) of outputs, too
    Py_ssize_t rows_in_place              # depthwise: of output, worked on together where nothing is loaded; else 0
    Py_ssize_t strip                      # depthwise: of their columns, those that are worked on row after row
    Py_ssize_t stream                     # outputs go to memory past the caches: whole vectors, aligned to themselves
    Py_ssize_t pixel_parts, filter_parts  # tasks
    Py_ssize_t unit                       # output pixels that parts are cut between: one, a vector, or rows
    Py_ssize_t scratch_bytes              # for each task that runs at the same time
    Py_ssize_t load_bytes, tile_bytes     # of it, a loaded block; places of pixels or taps; the rest holds outputs
    # What is done to a sum before it is stored.
    int activation                        # 0 linear, 1 relu, 2 relu6, 3 leaky_relu
    double slope                          # of leaky_relu; elu's alpha
    int after                             # what is done to results: one of the functions above, else 0
    int flush                             # denormals count as zero while the kernel runs

ctypedef void (*work_t)(void*, int) noexcept nogil
# (work, call, threads): work(call, thread) of all threads is done, or, if it returns 0, nothing is
ctypedef bint (*team_t)(work_t, void*, int) noexcept nogil
# (convolution, of the separable: its pointwise half or NULL, input, packed weights, pointwise packed weights, output,
#  scratch of `threads` tasks, threads, the team that they are)
ctypedef void (*run_t)(const Conv*, const Conv*, const void*, const void*, const void*, void*, char*, int,
                       team_t) noexcept nogil
# (convolution, kernel (taps, channels, filters) contiguous, bias or NULL, packed weights)
ctypedef void (*pack_t)(const Conv*, const void*, const void*, void*) noexcept nogil
# (function, results, how many, slope)
ctypedef void (*activate_t)(int, void*, Py_ssize_t, double) noexcept nogil
# (elements, how many): whether all are finite
ctypedef bint (*finite_t)(const void*, Py_ssize_t) noexcept nogil

cdef struct Kernels:
    size_t conv_bytes                     # sizeof(Conv): plans and kernels of different builds do not mix
    int lanes
    int real_bytes
    int spreads                           # whether groups can share a vector
    int halves                            # whether the last vector of a tile can be half a one, and be stored in part
    int two_passes                        # whether a multiply-add of one takes half the time of a vector's
    int intel                             # whether the CPU is Intel's: far last-level cache, dear loads of two lines
    int products                          # of a dense sum, at most, for its weights to stay in registers
    int dots                              # sums of a tile whose vectors are of channels, 0: there is none
    int pixels[5]                         # pixels[v]: of the tile that is v vectors wide, 0: there is none
    run_t conv
    run_t depthwise
    run_t separable
    pack_t pack_conv
    pack_t pack_depthwise
    finite_t finite
    activate_t activate
