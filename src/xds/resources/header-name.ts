import { isHeaderValue } from '../../core/header-syntax.js';

export { isHeaderName, isHeaderValue } from '../../core/header-syntax.js';

/** A host with or without a port, or ''. */
export const isHost = (value: string): boolean => isHeaderValue(value) && !/[\s/?#@]/.test(value);
